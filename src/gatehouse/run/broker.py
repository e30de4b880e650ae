"""The MQTT broker's configuration, its first accounts, and the reload when the link has changed them.

mosquitto reads its accounts and access rules from two files. The link writes them (it knows which gateways exist),
but only the broker's parent may signal it, so the supervisor watches them. A file that does not parse would make the
broker quit on reload, so a bad one is left alone and named instead.
"""

import base64
import hashlib
import os
import re
import secrets as random
import shutil
from pathlib import Path

from gatehouse.run import home, secrets, tls
from gatehouse.run.home import Account, CannotStart
from gatehouse.wire import topics

LINK = "link"
"""The user name that the link signs in with; its password is in secrets/broker-link."""

_ITERATIONS = 101
_PASSWORD_LINE = re.compile(r"[^:\s]+:\$7\$\d+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+")
_ACL_LINE = re.compile(
    r"(#.*|user \S+|topic( (read|write|readwrite|deny))? \S.*|pattern( (read|write|readwrite|deny))? \S.*)?"
)


def find_binary() -> Path:
    """The broker's program. Raises CannotStart when it is not installed."""
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/usr/bin")
    if found is None:
        raise CannotStart("The MQTT broker is not installed: run `apt-get install mosquitto` as root.")
    return Path(found)


def prepare(folder: Path, who: Account | None, certificate: tls.Certificate) -> list[str]:
    """Writes the configuration, and accounts and rules unless the link has already done so; returns the command."""
    place = folder / "broker"
    for needed in (place, place / "data"):
        needed.mkdir(mode=0o700, exist_ok=True)
        if who is not None:
            os.chown(needed, who.uid, who.gid)
    configuration = place / "mosquitto.conf"
    home.write_private(configuration, _configuration(place, certificate), owner=who)
    if not _valid(place / "passwords", _PASSWORD_LINE):
        line = password_line(LINK, secrets.read(folder, "broker-link"))
        home.write_private(place / "passwords", line + "\n", owner=who)
    if not _valid(place / "acl", _ACL_LINE):
        home.write_private(place / "acl", first_rules(), owner=who)
    return [str(find_binary()), "-c", str(configuration)]


def password_line(user: str, password: str) -> str:
    """One line of the password file: PBKDF2 with SHA-512, as mosquitto's `$7$` form has it."""
    salt = random.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"{user}:$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def first_rules() -> str:
    """The access rules before any gateway is known."""
    return (
        f"user {LINK}\ntopic readwrite gh/#\ntopic read $SYS/#\n\n"
        f"pattern write {topics.PATTERN_WRITE}\npattern read {topics.PATTERN_READ}\n"
    )


def _configuration(place: Path, certificate: tls.Certificate) -> str:
    # Queues: mosquitto drops QoS 1 messages silently once a queue is full; gateways keep one batch in flight, so this
    # holds every gateway of a large installation while the link restarts.
    return f"""# Written by `gatehouse up` at each start.
per_listener_settings false
allow_anonymous false
password_file {place / "passwords"}
acl_file {place / "acl"}

persistence true
persistence_location {place / "data"}/
autosave_interval 60
max_queued_messages 100000
max_queued_bytes 0
max_inflight_messages 100
message_size_limit 4194304
persistent_client_expiration 14d

log_dest stderr
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S
connection_messages false

listener {home.port("MQTT")} 127.0.0.1

listener {home.port("MQTT_TLS")}
certfile {certificate.certificate}
keyfile {certificate.key}
tls_version tlsv1.2
"""


def _valid(path: Path, line: re.Pattern[str]) -> bool:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return bool(lines) and all(line.fullmatch(each) for each in lines if each.strip())


class Watch:
    """Notices when the accounts or the rules were replaced."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            folder / "broker" / "passwords": _PASSWORD_LINE,
            folder / "broker" / "acl": _ACL_LINE,
        }
        self._seen = self._look()

    def changed(self) -> list[Path]:
        """The files that are new since the last call and fit to be loaded; the broker wants a SIGHUP if there are any.

        Raises ValueError, once for each new version, when a file is not fit.
        """
        now = self._look()
        new = [path for path in self._files if now[path] != self._seen[path]]
        self._seen = now
        for path in new:
            if not _valid(path, self._files[path]):
                raise ValueError(f"{path} does not parse; the broker keeps the previous one")
        return new

    def _look(self) -> dict[Path, tuple[int, int]]:
        seen = {}
        for path in self._files:
            try:
                state = path.stat()
                seen[path] = (state.st_mtime_ns, state.st_ino)
            except OSError:
                seen[path] = (0, 0)
        return seen
