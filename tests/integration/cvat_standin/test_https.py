"""The stand-in by HTTPS, under an authority that only those trust who are told to."""

from __future__ import annotations

import cvat_sdk
import pytest
import urllib3
from cvat_sdk.core.client import AccessTokenCredentials

from tests.cvat_standin.annotator import Annotator, RunError
from tests.cvat_standin.client import CVAT
from tests.integration.cvat_standin.caller import Stream, tracker


def test_those_who_know_the_authority_get_in(secure_cvat: CVAT) -> None:
    ann = secure_cvat.add_user("ann")
    with cvat_sdk.Client(secure_cvat.url, check_server_version=False) as client:
        client.login(AccessTokenCredentials(ann.token))
        with pytest.raises(urllib3.exceptions.MaxRetryError, match="CERTIFICATE_VERIFY_FAILED"):
            client.users.retrieve_current_user()
    assert secure_cvat.log() == []
    with Annotator(secure_cvat.url, "ann", ann.password, ca_file=secure_cvat.ca_file) as annotator:
        assert annotator.trackers() == []
    with pytest.raises(RunError, match="CERTIFICATE_VERIFY_FAILED"):
        Annotator(secure_cvat.url, "ann", ann.password).login()


def test_faults_work_by_https_too(secure_cvat: CVAT) -> None:
    ann = secure_cvat.add_user("ann")
    secure_cvat.faults.drop_reply("POST /api/functions")
    pool = urllib3.PoolManager(retries=False, timeout=20, ca_certs=str(secure_cvat.ca_file))
    headers = {"Authorization": f"Bearer {ann.token}"}
    with pytest.raises((urllib3.exceptions.ProtocolError, urllib3.exceptions.SSLError)):
        pool.request("POST", f"{secure_cvat.url}/api/functions", json=tracker(), headers=headers)
    [function] = secure_cvat.functions()
    queue = f"{secure_cvat.url}/api/functions/queues/function:{function.id}/watch"
    answer = pool.request("GET", queue, headers=headers, preload_content=False)
    stream = Stream(answer)
    assert stream.line() == "retry: 5000"
    secure_cvat.wait_for_watchers(function.id)
    secure_cvat.cut_streams(function.id, abrupt=True)
    with pytest.raises((urllib3.exceptions.ProtocolError, urllib3.exceptions.SSLError)):
        stream.line()
    answer.close()
