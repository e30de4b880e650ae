"""HTTPS and MQTT over TLS from the first minute: passkeys, push, camera and microphone work over nothing less.

The operator's own certificate if there is one, else a certificate of a local authority that is made here once; people
install that authority on their devices, so its key stays as it is while the server's certificate comes and goes.
"""

import contextlib
import datetime as dt
import ipaddress
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatehouse.run import home
from gatehouse.run.home import Account, CannotStart

_AUTHORITY_LASTS = dt.timedelta(days=3650)
_SERVER_LASTS = dt.timedelta(days=397)  # browsers refuse server certificates that live much longer
RENEW_BEFORE = dt.timedelta(days=30)
_EARLIER = dt.timedelta(days=1)  # phones and door phones have clocks that lag behind


@dataclass(frozen=True)
class Certificate:
    """What to serve with. `authority` is the file that people install, None for the operator's own certificate."""

    certificate: Path
    key: Path
    authority: Path | None
    names: frozenset[str]
    ends_at: dt.datetime
    renewed: bool


def ensure(folder: Path, who: Account | None, *, public_url: str | None, now: dt.datetime) -> Certificate:
    """Brings GATEHOUSE_HOME/tls up to date and returns what to serve with.

    The server's certificate is made anew when a name or address of this machine is missing in it, or when it ends
    within 30 days. GATEHOUSE_TLS_CERT and GATEHOUSE_TLS_KEY (PEM files) take its place; they are copied, since the
    processes that serve may not read the originals. Raises CannotStart when those do not fit together or have ended.
    """
    tls = folder / "tls"
    tls.mkdir(mode=0o755, exist_ok=True)
    if given := _given():
        return _adopt(tls, who, *given, now=now)
    wanted = _names(public_url)
    server, key = tls / "server.crt", tls / "server.key"
    authority, authority_key = _authority(tls, now)
    current = _load(server)
    if (
        current is not None
        and key.exists()
        and wanted <= names_of(current)
        and current.not_valid_after_utc - now > RENEW_BEFORE
        and current.issuer == authority.subject
    ):
        return Certificate(server, key, tls / "authority.crt", names_of(current), current.not_valid_after_utc, False)
    secret = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign_server(secret, wanted, authority, authority_key, now)
    home.write_private(key, _pem_key(secret), owner=who)
    home.write_private(server, _pem(certificate), owner=who, mode=0o644)
    return Certificate(server, key, tls / "authority.crt", wanted, certificate.not_valid_after_utc, True)


def fingerprint(path: Path) -> str:
    """SHA-256 of a certificate, as people compare it: AB:CD:..."""
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex(":").upper()


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """The DNS names and addresses that a certificate is good for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = names.get_values_for_type(x509.IPAddress)
    return frozenset([*names.get_values_for_type(x509.DNSName), *(str(address) for address in addresses)])


def local_addresses() -> frozenset[str]:
    """The addresses of this machine, IPv4 and IPv6, loopback included, link-local ones not."""
    found = {"127.0.0.1", "::1"}
    with contextlib.suppress(OSError):
        lines = Path("/proc/net/fib_trie").read_text()
        found |= set(re.findall(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL", lines))
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            found.add(str(ipaddress.IPv6Address(int(line.split()[0], 16))))
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; asks which address would be used
        found.add(probe.getsockname()[0])
    return frozenset(address for address in found if not ipaddress.ip_address(address).is_link_local)


def lan_addresses() -> list[str]:
    """The IPv4 addresses under which others on the network reach this machine."""
    addresses = [ipaddress.ip_address(address) for address in local_addresses()]
    return [str(a) for a in sorted(addresses, key=int) if a.version == 4 and not a.is_loopback]


def _names(public_url: str | None) -> frozenset[str]:
    hostname = socket.gethostname().lower()
    names = {"localhost", *local_addresses()}
    for name in (hostname, f"{hostname}.local" if "." not in hostname else hostname, _host(public_url)):
        if name and _is_name(name):
            names.add(name)
    return frozenset(names)


def _host(url: str | None) -> str | None:
    return urlsplit(url).hostname if url else None


def _is_name(name: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", name) is not None


def _given() -> tuple[Path, Path] | None:
    certificate, key = os.environ.get("GATEHOUSE_TLS_CERT"), os.environ.get("GATEHOUSE_TLS_KEY")
    if bool(certificate) != bool(key):
        raise CannotStart("GATEHOUSE_TLS_CERT and GATEHOUSE_TLS_KEY belong together: set both or neither.")
    return (Path(certificate), Path(key)) if certificate and key else None


def _adopt(tls: Path, who: Account | None, certificate_file: Path, key_file: Path, *, now: dt.datetime) -> Certificate:
    try:
        chain, secret = certificate_file.read_text(), key_file.read_text()
        certificate = x509.load_pem_x509_certificate(chain.encode())
        fits = load_pem_private_key(secret.encode(), None).public_key() == certificate.public_key()
    except (OSError, ValueError, TypeError) as problem:
        raise CannotStart(
            f"The certificate {certificate_file} with key {key_file} cannot be used ({problem}): "
            "give two PEM files, the key without a password, that root or this user may read."
        ) from problem
    if not fits:
        raise CannotStart(
            f"The key {key_file} does not belong to the certificate {certificate_file}: give its own key."
        )
    ends = certificate.not_valid_after_utc
    if ends <= now:
        raise CannotStart(f"The certificate {certificate_file} ended on {ends:%Y-%m-%d}: renew it.")
    server, server_key = tls / "server.crt", tls / "server.key"
    renewed = not server.exists() or server.read_text() != chain
    home.write_private(server_key, secret, owner=who)
    home.write_private(server, chain, owner=who, mode=0o644)
    return Certificate(server, server_key, None, names_of(certificate), ends, renewed)


def _authority(tls: Path, now: dt.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path, key_path = tls / "authority.crt", tls / "authority.key"
    with contextlib.suppress(OSError, ValueError, TypeError):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        secret = load_pem_private_key(key_path.read_bytes(), None)
        if isinstance(secret, ec.EllipticCurvePrivateKey) and certificate.not_valid_after_utc - now > _SERVER_LASTS:
            return certificate, secret
    secret = ec.generate_private_key(ec.SECP256R1())
    title = f"Gatehouse on {socket.gethostname()[:40]}, {now:%Y-%m-%d}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
    certificate = (
        _begin(name, name, secret.public_key(), now, _AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(secret.public_key()), critical=False)
        .sign(secret, hashes.SHA256())
    )
    home.write_private(
        key_path, _pem_key(secret)
    )  # stays with the account that starts Gatehouse: nobody serves with it
    home.write_private(path, _pem(certificate), mode=0o644)
    return certificate, secret


def _sign_server(
    secret: ec.EllipticCurvePrivateKey,
    names: Iterable[str],
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
) -> x509.Certificate:
    alternative: list[x509.GeneralName] = []
    for name in sorted(names):
        try:
            alternative.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            alternative.append(x509.DNSName(name))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatehouse")])
    return (
        _begin(subject, authority.subject, secret.public_key(), now, _SERVER_LASTS)
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _begin(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: dt.datetime, lasts: dt.timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _EARLIER).not_valid_after(now + lasts)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _load(path: Path) -> x509.Certificate | None:
    with contextlib.suppress(OSError, ValueError):
        return x509.load_pem_x509_certificate(path.read_bytes())
    return None


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_key(secret: ec.EllipticCurvePrivateKey) -> str:
    return secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
