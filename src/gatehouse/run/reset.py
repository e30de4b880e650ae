"""`gatehouse reset`: begins anew, and says beforehand what that costs."""

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from gatehouse.run import database, home, postgres, supervisor
from gatehouse.run.home import CannotStart

_MADE_HERE = {
    "postgres": "the database: sites, people, credentials, logs",
    "master.key": "the master key",
    "secrets": "passwords between the processes",
    "broker": "the broker's accounts and rules",
    "mosquitto": "the broker's configuration and queues",
    "gateway": "the demo gateway's identity and store",
    "lab": "the lab's devices",
    "files": "pictures and exports",
    "tls": "certificates and the local authority",
    "logs": "logs of the processes",
    "run": "state of the last run",
    "program": "a copy of the program",
    "mode": "whether this is a demo",
}
"""All that Gatehouse makes in its data folder. Anything else there is somebody else's and stays."""


def reset(*, yes: bool, keep_authority: bool = False) -> int:
    """Deletes what Gatehouse made in the data folder, after naming it and asking. Returns the exit code.

    `keep_authority` keeps the local authority, which people may have installed on their devices.
    An external database is never touched, and neither is the master key that opens what is sealed in it.
    """
    folder = home.home()
    try:
        return _reset(folder, yes=yes, keep_authority=keep_authority)
    except CannotStart as problem:
        print(f"gatehouse: {problem}", file=sys.stderr)
        return 1


def _reset(folder: Path, *, yes: bool, keep_authority: bool) -> int:
    if not any((folder / name).exists() for name in _MADE_HERE):
        print(f"Nothing to delete in {folder}.")
        return 0
    lock = supervisor.lock(folder)
    try:
        elsewhere = database.is_external() or not (folder / "postgres").exists()
        kept = {"tls"} if keep_authority else set()
        if elsewhere:
            kept.add("master.key")
        present = [name for name in _MADE_HERE if (folder / name).exists() and name not in kept]
        print(f"This deletes from {folder}:")
        for name in present:
            print(f"  {name:<12}{_MADE_HERE[name]}")
        if database.is_external():
            url = urlsplit(os.environ["DATABASE_URL"])
            print(f"The database {url.path.lstrip('/')} on {url.hostname} is yours and stays as it is.")
        if elsewhere and (folder / "master.key").exists():
            print("The master key stays too: it opens what is sealed in that database.")
        if not yes and not _agreed():
            print("Nothing was deleted.")
            return 1
        supervisor.clear_leftovers(folder)
        postgres.clear_remains(folder / "postgres")
        for name in present:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except OSError as problem:
        raise CannotStart(
            f"{problem.filename} could not be deleted ({problem.strerror}): run this as its owner."
        ) from (problem)
    finally:
        os.close(lock)
    print("Deleted. The next start begins anew.")
    return 0


def _agreed() -> bool:
    try:
        return input("Type yes to delete: ").strip().lower() == "yes"
    except EOFError:
        return False
