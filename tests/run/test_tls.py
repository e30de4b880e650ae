"""Certificates are good for every name of this machine, and secrets for nobody else."""

import contextlib
import datetime as dt
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509

from gatehouse.run import check, home, secrets, tls
from gatehouse.run.home import CannotStart

NOW = dt.datetime.now(dt.UTC)


def ensure(folder: Path, *, public_url: str | None = None, now: dt.datetime = NOW) -> tls.Certificate:
    return tls.ensure(folder, home.account("gatehouse"), public_url=public_url, now=now)


def served_name_is_trusted(certificate: tls.Certificate, authority: Path, name: str) -> None:
    """One TLS handshake over loopback, checked as a browser would."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.certificate, certificate.key)
    client = ssl.create_default_context(cafile=str(authority))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            accepted, _ = listener.accept()
            with contextlib.suppress(ssl.SSLError), accepted:
                server.wrap_socket(accepted, server_side=True).recv(1)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        plain = socket.create_connection(listener.getsockname(), timeout=5)
        with plain, client.wrap_socket(plain, server_hostname=name) as secured:
            secured.send(b"x")
        thread.join(5)


@pytest.mark.req("GH-RUN-05")
class TestLocalAuthority:
    def test_every_name_and_address_of_this_machine_is_served(self, folder: Path) -> None:
        made = ensure(folder, public_url="https://doors.example.org:8443")
        assert made.authority is not None
        for name in ("localhost", "127.0.0.1", "doors.example.org", *tls.lan_addresses()):
            served_name_is_trusted(made, made.authority, name)
        with pytest.raises(ssl.SSLCertVerificationError):
            served_name_is_trusted(made, made.authority, "elsewhere.example.org")

    def test_it_stays_while_nothing_changes(self, folder: Path) -> None:
        first, second = ensure(folder), ensure(folder)
        assert (first.renewed, second.renewed) == (True, False)
        assert first.ends_at == second.ends_at

    def test_a_new_name_makes_a_new_certificate_of_the_same_authority(self, folder: Path) -> None:
        first = ensure(folder)
        assert first.authority is not None
        before = tls.fingerprint(first.authority)
        second = ensure(folder, public_url="https://doors.example.org")
        assert second.renewed
        assert second.authority is not None
        assert tls.fingerprint(second.authority) == before

    def test_it_is_renewed_when_less_than_thirty_days_are_left(self, folder: Path) -> None:
        ends = ensure(folder).ends_at
        assert not ensure(folder, now=ends - dt.timedelta(days=31)).renewed
        renewed = ensure(folder, now=ends - dt.timedelta(days=29))
        assert renewed.renewed
        assert renewed.ends_at > ends

    def test_the_authority_can_sign_no_other_authority(self, folder: Path) -> None:
        made = ensure(folder)
        assert made.authority is not None
        certificate = x509.load_pem_x509_certificate(made.authority.read_bytes())
        limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert (limits.ca, limits.path_length) == (True, 0)


@pytest.mark.req("GH-RUN-05")
class TestOwnCertificate:
    def give(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, key_of: str = "theirs") -> None:
        for name in ("theirs", "others"):
            (folder / name).mkdir()
            ensure(folder / name)
        monkeypatch.setenv("GATEHOUSE_TLS_CERT", str(folder / "theirs" / "tls" / "server.crt"))
        monkeypatch.setenv("GATEHOUSE_TLS_KEY", str(folder / key_of / "tls" / "server.key"))

    def test_it_is_taken_instead(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.give(folder, monkeypatch)
        made = ensure(folder)
        assert made.authority is None
        served_name_is_trusted(made, folder / "theirs" / "tls" / "authority.crt", "localhost")
        assert stat.S_IMODE(made.key.stat().st_mode) == 0o600

    def test_a_key_of_another_certificate_is_refused(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.give(folder, monkeypatch, key_of="others")
        with pytest.raises(CannotStart, match="does not belong to the certificate"):
            ensure(folder)

    def test_an_ended_one_is_refused(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.give(folder, monkeypatch)
        with pytest.raises(CannotStart, match=r"ended on \d{4}-\d\d-\d\d: renew it"):
            ensure(folder, now=NOW + dt.timedelta(days=400))


@pytest.mark.req("GH-RUN-04")
class TestSecrets:
    def files(self, folder: Path) -> dict[str, str]:
        paths = [folder / "master.key", *(folder / "secrets").iterdir()]
        return {path.name: path.read_text() for path in paths}

    def test_they_are_made_once_differ_and_only_their_account_reads_them(self, folder: Path) -> None:
        who = home.account("gatehouse")
        secrets.make(folder, who)
        first = self.files(folder)
        secrets.make(folder, who)
        assert self.files(folder) == first
        assert set(first) == {"master.key", "django", "database", "broker-link", "database-superuser"}
        assert len(set(first.values())) == len(first)
        assert len(bytes.fromhex(first["master.key"])) == 32
        for path in [folder / "master.key", *(folder / "secrets").iterdir()]:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        if who is not None:
            assert (folder / "master.key").stat().st_uid == who.uid
            assert (folder / "secrets" / "database-superuser").stat().st_uid == 0

    def test_one_that_others_can_read_refuses_the_start(self, folder: Path) -> None:
        secrets.make(folder, None)
        (folder / "master.key").chmod(0o644)
        with pytest.raises(CannotStart, match="chmod 600"):
            secrets.make(folder, None)
        assert any("master.key can be read by other accounts" in sentence for sentence in check.check(folder))
