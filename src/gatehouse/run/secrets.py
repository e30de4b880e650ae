"""The secrets of one installation: made once, at the first start, and readable by one account only.

There are no default passwords anywhere. Losing `master.key` means losing everything that is sealed with it.
"""

import os
import secrets
from pathlib import Path

from gatehouse.run import home
from gatehouse.run.home import Account, CannotStart

MASTER_KEY = "master.key"
SUPERUSER = "database-superuser"
OF_PROCESSES = ("django", "database", "broker-link")
"""What the processes themselves read; the cluster's superuser is not among it."""


def make(folder: Path, who: Account | None) -> None:
    """Makes whatever secret is missing in a data folder; `who` is the account that Gatehouse's processes run as.

    master.key: 32 random bytes as 64 hexadecimal digits. secrets/<name>: 32 random bytes, URL-safe text.
    Raises CannotStart when a secret that is there can be read by others.
    """
    store = folder / "secrets"
    store.mkdir(mode=0o700, exist_ok=True)
    if who is not None:
        os.chown(store, 0, who.gid)
        store.chmod(0o710)
    _once(folder / MASTER_KEY, secrets.token_hex(32), who)
    for name in OF_PROCESSES:
        _once(store / name, secrets.token_urlsafe(32), who)
    _once(store / SUPERUSER, secrets.token_urlsafe(32), None)


def read(folder: Path, name: str) -> str:
    """A secret out of secrets/. Raises FileNotFoundError before the first start."""
    return (folder / "secrets" / name).read_text().strip()


def _once(path: Path, value: str, who: Account | None) -> None:
    try:
        state = path.stat()
    except FileNotFoundError:
        home.write_private(path, value + "\n", owner=who)
        return
    if state.st_mode & 0o077:
        raise CannotStart(f"The secret {path} can be read by other accounts: run `chmod 600 {path}`.")
    if who is not None and state.st_uid != who.uid and os.geteuid() == 0:
        os.chown(path, who.uid, who.gid)
