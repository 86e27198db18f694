"""The API server goes, the gateway is restarted, both: the trackers last known are shown."""

from __future__ import annotations

from pathlib import Path

from tests.cvat_standin.waiting import wait_for
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.doors import Server
from tests.integration.gateway.kubernetes import Kubernetes, tracker
from tests.integration.gateway.process import gateway


def test_what_changes_in_the_cluster_is_noticed(kubernetes: Kubernetes, start: Start) -> None:
    running = start()
    assert running.get("/api/functions").json == {}
    kubernetes.trackers = [tracker("cars")]
    wait_for(lambda: set(running.get("/api/functions").json) == {"lab.cars"}, "the tracker")
    kubernetes.trackers = [tracker("cars", ready=False)]
    wait_for(lambda: running.get("/api/functions").json == {}, "it to be unlisted")
    assert running.get("/api/functions/lab.cars").status == 200
    kubernetes.trackers = []
    wait_for(lambda: running.get("/api/functions/lab.cars").status == 404, "it to be gone")


def test_while_the_api_server_is_away_trackers_are_shown_and_called(
    kubernetes: Kubernetes, agent: Server, name: str, start: Start
) -> None:
    del agent
    running = start()
    kubernetes.away = True
    wait_for(lambda: "last known are shown" in running.log(), "the gateway to notice")
    assert set(running.get("/api/functions").json) == {name}
    assert running.invoke(name).status == 200
    assert running.is_ready()
    kubernetes.away = False
    wait_for(lambda: "can be listed again" in running.log(), "the gateway to notice")


def test_a_restart_while_the_api_server_is_away_loses_nothing(
    kubernetes: Kubernetes, agent: Server, name: str, tmp_path: Path
) -> None:
    kept = {"ROSTER_FILE": str(tmp_path / "roster.json")}
    config = kubernetes.kubeconfig(tmp_path)
    with gateway(config, tmp_path, **kept) as running:
        wait_for(running.is_ready, "the gateway")
    kubernetes.away = True
    with gateway(config, tmp_path, **kept) as running:
        wait_for(running.is_ready, "the gateway")
        assert set(running.get("/api/functions").json) == {name}
        assert running.invoke(name).status == 200
    assert len(agent.seen) == 1


def test_one_that_never_knew_any_is_not_ready(kubernetes: Kubernetes, tmp_path: Path) -> None:
    kubernetes.away = True
    (tmp_path / "roster.json").write_text('{"": [{"namespace"')
    config = kubernetes.kubeconfig(tmp_path)
    with gateway(config, tmp_path, ROSTER_FILE=str(tmp_path / "roster.json")) as running:
        wait_for(lambda: "last known are shown" in running.log(), "the gateway to notice")
        wait_for(lambda: "serving CVAT" in running.log(), "the gateway to take calls")
        told = running.health("/readyz")
        assert told is not None
        assert told.status == 503
        assert "API server" in told.text
        for reply in (running.get("/api/functions"), running.get("/api/functions/x"), running.invoke("x")):
            assert (reply.status, "not known yet" in reply.reason) == (503, True), "an empty list is believed"
        kubernetes.away = False
        wait_for(running.is_ready, "the gateway to be ready")


def test_a_namespace_that_may_not_be_listed_takes_no_others_away(
    kubernetes: Kubernetes, agent: Server, name: str, start: Start
) -> None:
    kubernetes.forbidden = {"zoo"}
    running = start(NAMESPACES="lab,zoo")
    assert set(running.get("/api/functions").json) == {name}
    told = running.health("/readyz")
    assert told is not None
    assert "Give this account the rights" in told.text
    assert running.get("/api/functions/zoo.cars").status == 404


def test_one_that_may_list_none_is_not_ready(kubernetes: Kubernetes, tmp_path: Path) -> None:
    kubernetes.forbidden = {"lab", "zoo"}
    with gateway(kubernetes.kubeconfig(tmp_path), tmp_path, NAMESPACES="lab,zoo") as running:
        wait_for(lambda: "last known are shown" in running.log(), "the gateway to notice")
        wait_for(lambda: "serving CVAT" in running.log(), "the gateway to take calls")
        assert not running.is_ready()


def test_a_door_key_that_could_be_guessed_is_told(
    agent: Server, name: str, start: Start, tmp_path: Path
) -> None:
    running = start()
    (tmp_path / "door-key").write_text("short")
    assert running.invoke(name).status == 503
    assert "must have 32 characters or more, and has 5" in running.log()
    assert agent.seen == []


def test_trackers_of_another_crd_are_read_and_nonsense_is_left_out(
    kubernetes: Kubernetes, start: Start
) -> None:
    newer = tracker("newer", flavor="sweet")
    newer["status"]["conditions"].append({"type": "Dreaming", "status": "Unknown"})
    broken = tracker("broken")
    del broken["metadata"]["uid"]
    kubernetes.trackers = [newer, broken, {"metadata": {}, "spec": None}]
    running = start()
    assert set(running.get("/api/functions").json) == {"lab.newer"}
    listed = kubernetes.listed
    wait_for(lambda: kubernetes.listed > listed + 2, "more lists")
    assert running.log().count("The SAM2Tracker lab/broken is not shown") == 1
