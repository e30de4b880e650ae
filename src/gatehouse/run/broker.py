"""The MQTT broker's configuration, its first accounts, and the reload when the link has changed them.

The link writes who may sign in and what they may reach (it knows which gateways exist) into broker/passwords and
broker/acl. The broker runs under an account of its own and reads mosquitto/, which the supervisor fills: it hands over
whatever is new and well formed, and tells the broker to reload. mosquitto quits over a file that it cannot parse or
read, so it never gets to see one.
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


def system_account() -> Account | None:
    """Whom the broker runs as when root starts it; it reads nothing of Gatehouse's but what it is handed."""
    return home.account("gatehouse-broker", instead="mosquitto")


def prepare(folder: Path, who: Account | None, broker: Account | None, certificate: tls.Certificate) -> list[str]:
    """Makes everything that the broker starts with, and returns its command line.

    `who` is the account of the link, `broker` the broker's own. Accounts and rules are written only where the link has
    not done so yet; its configuration and certificate at each call.
    """
    place, live = folder / "broker", _live(folder)
    # mosquitto/ itself stays root's: what root writes into, nobody else may exchange for a link to somewhere else.
    for needed, mode, owner in ((place, 0o700, who), (live, 0o711, None), (live / "data", 0o700, broker)):
        needed.mkdir(exist_ok=True)
        needed.chmod(mode)
        if owner is not None:
            os.chown(needed, owner.uid, owner.gid)
    if not _valid(place / "passwords", _PASSWORD_LINE):
        line = password_line(LINK, secrets.read(folder, "broker-link"))
        home.write_private(place / "passwords", line + "\n", owner=who)
    if not _valid(place / "acl", _ACL_LINE):
        home.write_private(place / "acl", first_rules(), owner=who)
    HandOver(folder, broker).bring()
    hand_certificate(folder, broker, certificate)
    home.write_private(live / "mosquitto.conf", _configuration(live), owner=broker)
    return [str(find_binary()), "-c", str(live / "mosquitto.conf")]


def hand_certificate(folder: Path, broker: Account | None, certificate: tls.Certificate) -> None:
    """Gives the broker its copy of the certificate and key; it takes them up on the next SIGHUP."""
    live = _live(folder)
    home.write_private(live / "server.key", certificate.key.read_text(), owner=broker)
    home.write_private(live / "server.crt", certificate.certificate.read_text(), owner=broker)


def _live(folder: Path) -> Path:
    return folder / "mosquitto"


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


def _configuration(live: Path) -> str:
    # Queues: mosquitto drops QoS 1 messages silently once a queue is full; gateways keep one batch in flight, so this
    # holds every gateway of a large installation while the link restarts.
    return f"""# Written by `gatehouse up` at each start.
per_listener_settings false
allow_anonymous false
password_file {live / "passwords"}
acl_file {live / "acl"}

persistence true
persistence_location {live / "data"}/
autosave_interval 60
max_queued_messages 100000
set_tcp_nodelay true
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
certfile {live / "server.crt"}
keyfile {live / "server.key"}
tls_version tlsv1.2
"""


def _valid(path: Path, line: re.Pattern[str]) -> bool:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return bool(lines) and all(line.fullmatch(each) for each in lines if each.strip())


class HandOver:
    """Brings what the link has written to the broker."""

    def __init__(self, folder: Path, broker: Account | None) -> None:
        self._place = folder / "broker"
        self._live = _live(folder)
        self._broker = broker
        self._seen: dict[str, tuple[int, int]] = {}

    def bring(self) -> bool:
        """Hands over each file that is new since the last call; True when there was one, so that a SIGHUP is due.

        Raises ValueError, once for each new version of a file, when one is not well formed; the broker keeps the last.
        """
        brought, broken = False, []
        for name, line in (("acl", _ACL_LINE), ("passwords", _PASSWORD_LINE)):
            path = self._place / name
            state = _identity(path)
            if state == self._seen.get(name):
                continue
            self._seen[name] = state
            if not _valid(path, line):
                broken.append(str(path))
                continue
            home.write_private(self._live / name, path.read_text(encoding="utf-8"), owner=self._broker)
            brought = True
        if broken:
            raise ValueError(f"{' and '.join(broken)} cannot be understood; the broker goes on with the last good one")
        return brought


def _identity(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_mtime_ns, state.st_ino
