"""Lets a dropped account run the very program that root started.

Root often keeps a checkout below /root, which is closed to everybody else, and rightly so. Rather than opening it or
staying root, the installed program (its packages, nothing else) is put into the data folder, where the account may
read but not change it. Hard links make that quick and free where both are on one disk.
"""

import compileall
import hashlib
import importlib.metadata
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gatehouse
from gatehouse.run import home
from gatehouse.run.home import Account, CannotStart

_PACKAGE = Path(gatehouse.__file__).parent


@dataclass(frozen=True)
class Program:
    """How to run `gatehouse <command>`: this interpreter with these variables added."""

    python: str
    environment: Mapping[str, str]

    def command(self, *arguments: str) -> list[str]:
        """The command line of `gatehouse <arguments>`."""
        return [self.python, "-m", "gatehouse.cli", *arguments]


def for_account(folder: Path, who: Account | None) -> Program:
    """The program as this account can run it. Raises CannotStart when not even the interpreter is within its reach."""
    here = Path(sys.executable)
    parts = (here, Path(sys.base_prefix) / "lib", Path(sysconfig.get_path("purelib")), _PACKAGE)
    if all(home.reachable(path, who) and home.reachable(path.resolve(), who) for path in parts):
        return Program(str(here), {"PYTHONSAFEPATH": "1"})
    # The same version from the distribution will do where the interpreter is closed too (pyenv keeps it in /root).
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [here.resolve(), Path("/usr/bin") / version, Path("/usr/local/bin") / version]
    interpreter = next((path for path in candidates if path.exists() and home.reachable(path, who)), None)
    if interpreter is None:
        raise CannotStart(
            f"The account {who.name if who else '?'} cannot reach the Python at {candidates[0]}: "
            f"run `apt-get install {version}` as root, or start Gatehouse as an ordinary user."
        )
    places = []
    for name, stamp, fill in (
        ("source", _stamp_of_source(), _fill_source),
        ("packages", _stamp_of_packages(), _fill_packages),
    ):
        place = folder / "program" / name
        places.append(str(place))
        if not (place / ".stamp").exists() or (place / ".stamp").read_text() != stamp:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            fill(place)
            (place / ".stamp").write_text(stamp)
    for part in (folder / "program", *map(Path, places)):
        part.chmod(0o755)
    path = os.pathsep.join(places)
    return Program(str(interpreter), {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"})


def _fill_source(place: Path) -> None:
    target = place / "gatehouse"
    shutil.copytree(_PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(target, quiet=2)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _fill_packages(place: Path) -> None:
    made: set[Path] = set()
    for distribution in _needed().values():
        for file in distribution.files or []:
            if ".." in file.parts or file.suffix == ".pth":
                continue
            source, target = Path(str(distribution.locate_file(file))), place / file
            if source.is_relative_to(_PACKAGE) or not source.is_file():
                continue
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            try:
                os.link(source, target)
            except OSError:
                shutil.copy2(source, target)
            if not target.stat().st_mode & 0o004:
                target.chmod(0o644)
    for folder in {parent for part in made for parent in (part, *part.parents) if place in parent.parents}:
        folder.chmod(0o755)


def _stamp_of_packages() -> str:
    return "\n".join(f"{name} {distribution.version}" for name, distribution in sorted(_needed().items()))


def _stamp_of_source() -> str:
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if "__pycache__" not in path.parts and path.is_file():
            state = path.stat()
            digest.update(f"{path} {state.st_mtime_ns} {state.st_size}\n".encode())
    return digest.hexdigest()


def _needed() -> dict[str, importlib.metadata.Distribution]:
    """Gatehouse and all that it needs at run time, as far as installed, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [("gatehouse", frozenset())]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # meant for another platform
        found[re.sub(r"[-_.]+", "-", name).lower()] = distribution
        for line in distribution.requires or []:
            match = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?", line)
            marked = set(re.findall(r"""extra\s*==\s*['"]([^'"]+)['"]""", line))
            if match is None or (marked and not marked & extras):
                continue
            wanted = (match[1], frozenset(part.strip() for part in (match[2] or "").split(",") if part.strip()))
            if wanted not in seen:
                seen.add(wanted)
                waiting.append(wanted)
    return found
