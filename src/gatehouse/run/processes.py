"""Starting child processes that never outlive their parent, and telling our own processes from strangers."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypedDict

from gatehouse.run.home import Account

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_TICKS = os.sysconf("SC_CLK_TCK")


class AsAccount(TypedDict, total=False):
    """The arguments of `subprocess` that change the account."""

    user: int
    group: int
    extra_groups: list[int]
    cwd: str


def as_account(who: Account | None) -> AsAccount:
    """Arguments for `subprocess` to run a program as an account; none when it stays the same user."""
    if who is None:
        return {"cwd": "/"}
    return {"user": who.uid, "group": who.gid, "extra_groups": [], "cwd": "/"}


def _leash(parent: int, step: signal.Signals) -> Callable[[], None]:
    """What a child does between fork and exec: ask the kernel for a signal when its parent dies.

    The kernel forgets this wish when the account changes, so it has to come after that; `subprocess` calls it there.
    """

    def fasten() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(step), 0, 0, 0)
        if os.getppid() != parent:  # the parent died in between: nobody is left to send the signal
            os._exit(1)

    return fasten


def spawn(
    command: Sequence[str],
    *,
    who: Account | None,
    output: IO[bytes] | int,
    environment: Mapping[str, str] | None = None,
    on_parent_death: signal.Signals = signal.SIGTERM,
) -> "subprocess.Popen[bytes]":
    """Starts a child in a session (and process group) of its own, standard output and error into `output`.

    The signal comes when the *thread* that called this ends: call it from a thread that lives as long as the process.
    """
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(environment) if environment is not None else None,
        start_new_session=True,
        preexec_fn=_leash(os.getpid(), on_parent_death),
        **as_account(who),
    )


def started(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine booted; None when it is gone or only a zombie.

    With the process number this names one process for ever (until the next boot), whoever gets the number later.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
