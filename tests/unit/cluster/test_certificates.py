import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.cluster.certificates import Authority, write_kubeconfig, write_private

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def handshake(authority: Authority, issuer: Authority, host: str, folder: Path) -> None:
    """Let a client that trusts ``authority`` greet, as ``host``, a server that ``issuer`` signed."""
    issuer.issue("server", datetime.now(UTC), hosts=["10.0.0.1"]).write(folder, "server")  # noqa: TID251
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "server.crt", folder / "server.key")
    trusting = ssl.create_default_context(cadata=authority.pair.certificate.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=host)
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.fixture
def authority() -> Authority:
    return Authority.create("test", datetime.now(UTC))  # noqa: TID251


def test_a_server_is_trusted_at_the_address_it_was_signed_for(authority: Authority, tmp_path: Path) -> None:
    handshake(authority, authority, "10.0.0.1", tmp_path)


def test_a_server_is_not_trusted_elsewhere(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, authority, "10.0.0.2", tmp_path)


def test_another_authority_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create("other", datetime.now(UTC))  # noqa: TID251
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, other, "10.0.0.1", tmp_path)


def test_private_files_are_for_their_owner_only(tmp_path: Path) -> None:
    authority = Authority.create("test", NOW)
    kubeconfig = tmp_path / "kubeconfig"
    write_kubeconfig(kubeconfig, "https://10.0.0.1:6443", authority, authority.issue("admin", NOW))
    write_private(tmp_path / "key", authority.pair.key)
    assert {path.stat().st_mode & 0o777 for path in (kubeconfig, tmp_path / "key")} == {0o600}
    assert (
        yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"
    )
