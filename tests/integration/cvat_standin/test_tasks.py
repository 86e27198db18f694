"""Tasks as cvat-sdk reads them: frames, chunks, meta, labels, jobs, and access to them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cvat_sdk
import numpy as np
import pytest
from cvat_sdk.core.client import AccessTokenCredentials
from cvat_sdk.datasets import MediaDownloadPolicy, TaskDataset
from PIL import Image

from tests.cvat_standin.client import CVAT
from tests.integration.cvat_standin.caller import Caller
from tests.integration.cvat_standin.scene import HEIGHT, WIDTH, draw, video


@pytest.fixture
def sdk(cvat: CVAT, tmp_path: Path) -> Iterator[cvat_sdk.Client]:
    token = cvat.add_user("ann").token
    with cvat_sdk.Client(cvat.url, config=cvat_sdk.Config(cache_dir=tmp_path)) as client:
        client.login(AccessTokenCredentials(token))
        yield client


@pytest.fixture
def call(cvat: CVAT, sdk: cvat_sdk.Client) -> Caller:
    return Caller(cvat.url, "token-of-ann")


@pytest.mark.parametrize(
    "policy", [MediaDownloadPolicy.FETCH_FRAMES_ON_DEMAND, MediaDownloadPolicy.PRELOAD_ALL]
)
def test_the_sdk_reads_all_frames_but_the_deleted(
    cvat: CVAT, sdk: cvat_sdk.Client, policy: MediaDownloadPolicy
) -> None:
    task = cvat.add_task(video(7), "ann", deleted_frames=[2], chunk_size=3, labels=["car", "person"])
    dataset = TaskDataset(sdk, task, load_annotations=False, media_download_policy=policy)
    assert [label.name for label in dataset.labels] == ["person", "car"]
    assert [sample.frame_index for sample in dataset.samples] == [0, 1, 3, 4, 5, 6]
    for sample in dataset.samples:
        assert np.array_equal(np.asarray(sample.media.load_image()), draw(sample.frame_index))


def test_meta_has_sizes_and_names(cvat: CVAT, sdk: cvat_sdk.Client) -> None:
    task = sdk.tasks.retrieve(cvat.add_task(video(3), "ann", deleted_frames=[1]))
    meta = task.get_meta()
    assert (meta.size, meta.start_frame, meta.stop_frame, meta.deleted_frames) == (3, 0, 2, [1])
    assert [(frame.width, frame.height) for frame in meta.frames] == [(WIDTH, HEIGHT)] * 3
    before = task.updated_date
    cvat.advance(5)
    task.remove_frames_by_ids([0, 2])
    assert task.get_meta().deleted_frames == [0, 2]
    assert sdk.tasks.retrieve(task.id).updated_date > before


def test_a_long_task_repeats_its_images(cvat: CVAT, call: Caller) -> None:
    task = cvat.add_task(video(3), "ann", length=50_000)

    meta = call("GET", f"/api/tasks/{task}/data/meta").json()
    assert meta["size"] == len({frame["name"] for frame in meta["frames"]}) == 50_000
    last = call("GET", f"/api/tasks/{task}/data/?type=frame&quality=original&number=49999")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(last.data))), draw(49_999 % 3))
    assert call("GET", f"/api/tasks/{task}/data/?type=frame&number=50000").status == 400


def test_images_are_served_as_they_were_uploaded(cvat: CVAT, call: Caller) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(draw(0)).save(jpeg, "JPEG")
    task = cvat.add_task([jpeg.getvalue(), draw(1)], "ann")
    path = f"/api/tasks/{task}/data/?type=frame&quality="
    original = call("GET", f"{path}original&number=0")
    assert (original.headers["Content-Type"], original.data) == ("image/jpeg", jpeg.getvalue())
    compressed = call("GET", f"{path}compressed&number=1")
    assert compressed.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(compressed.data)).size == (WIDTH, HEIGHT)


def test_chunks_hold_their_frames_in_order(cvat: CVAT, call: Caller) -> None:
    task = cvat.add_task(video(5), "ann", chunk_size=2)
    path = f"/api/tasks/{task}/data/?type=chunk&quality=original&number="
    last = call("GET", f"{path}2")
    assert last.headers["X-Checksum"] == call("GET", f"{path}2").headers["X-Checksum"]
    with zipfile.ZipFile(io.BytesIO(call("GET", f"{path}1").data)) as chunk:
        assert chunk.namelist() == ["000000.png", "000001.png"]
        with chunk.open("000001.png") as member:
            assert np.array_equal(np.asarray(Image.open(member)), draw(3))
    with zipfile.ZipFile(io.BytesIO(last.data)) as chunk:
        assert len(chunk.namelist()) == 1


def test_data_that_does_not_exist_is_refused(cvat: CVAT, call: Caller) -> None:
    task = cvat.add_task(video(2), "ann")
    for query, words in (
        ("type=frame&number=2", "Incorrect requested frame number: 2"),
        ("type=chunk&number=1", "Incorrect requested chunk number: 1"),
        ("type=frame", "Number was not specified"),
        ("type=sound&number=0", "Data type not specified or unsupported: sound"),
    ):
        answer = call("GET", f"/api/tasks/{task}/data/?quality=original&{query}")
        assert (answer.status, answer.json()) == (400, [words])
    assert call("GET", "/api/tasks/99/data/meta").status == 404


def test_a_video_has_png_frames_one_meta_entry_and_no_original_chunks(
    cvat: CVAT, sdk: cvat_sdk.Client, call: Caller
) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(draw(0)).save(jpeg, "JPEG")
    task = cvat.add_task([jpeg.getvalue(), draw(1)], "ann", from_video=True)
    dataset = TaskDataset(
        sdk, task, load_annotations=False, media_download_policy=MediaDownloadPolicy.FETCH_FRAMES_ON_DEMAND
    )
    assert [sample.frame_name for sample in dataset.samples] == ["video.mp4", "video.mp4"]
    assert np.array_equal(np.asarray(dataset.samples[1].media.load_image()), draw(1))
    path = f"/api/tasks/{task}/data/?number=0&quality=original&type="
    assert call("GET", f"{path}frame").headers["Content-Type"] == "image/png"
    assert call("GET", f"{path}chunk").status == 501


def test_jobs_split_a_task(cvat: CVAT, sdk: cvat_sdk.Client, call: Caller) -> None:
    task = cvat.add_task(video(5), "ann", job_size=3, chunk_size=2, deleted_frames=[1, 4])
    jobs = sorted(sdk.tasks.retrieve(task).get_jobs(), key=lambda job: job.id)
    assert [(job.start_frame, job.stop_frame) for job in jobs] == [(0, 2), (3, 4)]
    meta = sdk.jobs.retrieve(jobs[1].id).get_meta()
    assert (meta.size, len(meta.frames), meta.deleted_frames) == (2, 2, [4])
    first = call("GET", f"/api/jobs/{jobs[1].id}/data?type=chunk&index=0&quality=original")
    with zipfile.ZipFile(io.BytesIO(first.data)) as chunk, chunk.open("000000.png") as member:
        assert np.array_equal(np.asarray(Image.open(member)), draw(3))
    frame = call("GET", f"/api/jobs/{jobs[1].id}/data?type=frame&number=3&quality=original")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(frame.data))), draw(3))


def test_a_task_is_for_its_owner_assignees_and_maintainers(cvat: CVAT, sdk: cvat_sdk.Client) -> None:
    callers = {name: Caller(cvat.url, cvat.add_user(name).token) for name in ("bob", "eve", "max")}
    cvat.add_organization("lab", "ann", {"bob": "worker", "max": "maintainer"})
    task = cvat.add_task(video(2), "ann", organization="lab")
    paths = [
        f"/api/tasks/{task}",
        f"/api/tasks/{task}/data/?type=frame&number=0",
        f"/api/labels?task_id={task}",
    ]

    def statuses(name: str) -> set[int]:
        return {callers[name]("GET", path).status for path in paths}

    assert statuses("bob") == statuses("eve") == {403}
    assert statuses("max") == {200}
    cvat.assign_task(task, "bob", "eve")
    assert statuses("bob") == {200}
    assert statuses("eve") == {403}
    assert [item["id"] for item in callers["bob"]("GET", "/api/tasks?org=lab").json()["results"]] == [task]
    assert callers["bob"]("GET", "/api/tasks?org=").json()["count"] == 0
    denied = callers["eve"]("GET", paths[0])
    assert denied.json() == {"detail": "You do not have permission to perform this action."}


def test_a_deleted_task_is_gone(cvat: CVAT, sdk: cvat_sdk.Client, call: Caller) -> None:
    task = cvat.add_task(video(1), "ann")
    sdk.tasks.retrieve(task).remove()
    answer = call("GET", f"/api/tasks/{task}")
    assert (answer.status, answer.json()) == (404, {"detail": "No Task matches the given query."})


def test_only_images_make_a_task(cvat: CVAT, sdk: cvat_sdk.Client) -> None:
    with pytest.raises(AssertionError, match="neither a PNG nor a JPEG"):
        cvat.add_task([b"not an image"], "ann")
    with pytest.raises(AssertionError, match="No media data found"):
        cvat.add_task([], "ann")
