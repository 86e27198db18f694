"""Tasks, jobs, labels and frames as CVAT's JSON, field for field as its OpenAPI document has them."""

from __future__ import annotations

from tests.cvat_standin.representations import Json, basic_user, date
from tests.cvat_standin.tasks import Job, Label, Task


def label(item: Label, task: Task) -> Json:
    """Schema `Label`."""
    return {
        "id": item.id,
        "name": item.name,
        "color": "#33ddff",
        "attributes": [],
        "type": "any",
        "sublabels": [],
        "project_id": None,
        "task_id": task.id,
        "parent_id": None,
        "has_parent": False,
    }


def _chunk_types(task: Task) -> Json:
    return {
        "data_chunk_size": task.chunk_size,
        "data_compressed_chunk_type": "imageset",
        "data_original_chunk_type": "video" if task.from_video else "imageset",
    }


def _media(task: Task) -> Json:
    return {
        "dimension": "2d",
        "mode": "interpolation" if task.from_video else "annotation",
        "media_type": "video" if task.from_video else "image",
    }


def task(item: Task, base: str) -> Json:
    """Schema `TaskRead`."""
    organization_id = item.organization.id if item.organization else None
    return {
        "url": f"{base}/api/tasks/{item.id}",
        "id": item.id,
        "name": item.name,
        "project_id": None,
        "project_name": None,
        "owner": basic_user(item.owner, base),
        "assignee": basic_user(item.assignees[0], base) if item.assignees else None,
        "bug_tracker": "",
        "created_date": date(item.created),
        "updated_date": date(item.updated),
        "overlap": 0,
        "segment_size": item.jobs[0].stop + 1,
        "status": "annotation",
        **_chunk_types(item),
        "data_cloud_storage_id": None,
        "guide_id": None,
        "size": len(item.frames),
        "image_quality": 70,
        "data": item.id,
        **_media(item),
        "subset": "",
        "organization_id": organization_id,
        "organization": organization_id,
        "target_storage": None,
        "source_storage": None,
        "jobs": {
            "count": len(item.jobs),
            "completed": 0,
            "validation": 0,
            "url": f"{base}/api/jobs?task_id={item.id}",
        },
        "labels": {"url": f"{base}/api/labels?task_id={item.id}"},
        "assignee_updated_date": None,
        "validation_mode": None,
        "consensus_enabled": False,
    }


def job(item: Job, of: Task, base: str) -> Json:
    """Schema `JobRead`."""
    return {
        "url": f"{base}/api/jobs/{item.id}",
        "id": item.id,
        "task_id": of.id,
        "task_name": of.name,
        "project_id": None,
        "project_name": None,
        "assignee": basic_user(of.assignees[0], base) if of.assignees else None,
        "guide_id": None,
        **_media(of),
        "bug_tracker": None,
        "status": "annotation",
        "stage": "annotation",
        "state": "new",
        "frame_count": item.stop - item.start + 1,
        "start_frame": item.start,
        "stop_frame": item.stop,
        **_chunk_types(of),
        "created_date": date(of.created),
        "updated_date": date(of.updated),
        "issues": {"url": f"{base}/api/issues?job_id={item.id}", "count": 0},
        "labels": {"url": f"{base}/api/labels?job_id={item.id}"},
        "type": "annotation",
        "organization": of.organization.id if of.organization else None,
        "target_storage": None,
        "source_storage": None,
        "assignee_updated_date": None,
        "parent_job_id": None,
        "consensus_replicas": 0,
        "replicas_count": 0,
    }


def data_meta(item: Task, start: int, stop: int) -> Json:
    """Schema `DataMetaRead` for a run of frames, inclusive. A video has one entry for all its frames."""
    frames = item.frames[:1] if item.from_video else item.frames[start : stop + 1]
    return {
        "chapters": None,
        "chunks_updated_date": date(item.created),
        "chunk_size": item.chunk_size,
        "size": stop - start + 1,
        "image_quality": 70,
        "start_frame": start,
        "stop_frame": stop,
        "frame_filter": "",
        "frames": [
            {
                "width": frame.width,
                "height": frame.height,
                "name": "video.mp4" if item.from_video else frame.name,
                "related_files": 0,
                "has_related_context": False,
            }
            for frame in frames
        ],
        "deleted_frames": sorted(frame for frame in item.deleted_frames if start <= frame <= stop),
        "included_frames": None,
        "storage": "local",
        "cloud_storage_id": None,
    }
