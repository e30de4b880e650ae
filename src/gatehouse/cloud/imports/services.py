"""Acts on imports: take a file, correct a cell, apply, undo.

A job is checked, then applied, then sealed when its undo time is over; or undone; or abandoned. Applying is one
transaction that holds the job's row: who is killed in it leaves the job as it was, checked, to be applied again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from django.db import OperationalError, transaction
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.imports import macs, people
from gatehouse.cloud.imports.checking import Checked
from gatehouse.cloud.imports.formats import format_named
from gatehouse.cloud.imports.models import Cells, Effect, Job, Row
from gatehouse.cloud.imports.reading import LONGEST_CELL, read_file
from gatehouse.cloud.imports.words import UNDO
from gatehouse.cloud.journal.services import record
from gatehouse.cloud.kit.errors import Conflict, Invalid, NotFound
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.premises.models import Company
from gatehouse.cloud.tenants.models import Organisation, Site

UNDO_TIME: Final = timedelta(minutes=15)
BATCH: Final = 2000


class Subject(Protocol):
    """What a format is about: a module with these functions."""

    KIND: str
    SECRETS: frozenset[str]
    permit: Callable[[Actor, Job], None]
    check: Callable[[Job, Mapping[int, Cells]], Checked[Any]]
    make: Callable[..., dict[int, UUID]]
    states: Callable[[Job, Collection[UUID]], dict[UUID, dict[str, Any]]]
    remove: Callable[..., None]


SUBJECTS: Final[dict[str, Any]] = {"office_people": people, "macs": macs}


def subject_of(job: Job) -> Subject:
    """The module that knows what this job's rows are about."""
    found: Subject = SUBJECTS[job.format]
    return found


def upload(
    *,
    actor: Actor,
    format: str,
    file_name: str,
    data: bytes,
    site: Site | None = None,
    organisation: Organisation | None = None,
    company: Company | None = None,
    mode: Job.Mode | None = None,
    now: datetime,
) -> Job:
    """Read and check a file for a site (perhaps for one company of it) or for an organisation. Nothing is made yet.

    `mode` says whether one faulty row stops all; the format's own custom when not said. Raises Invalid with
    one of `words.FILE` when the file as a whole cannot be taken.
    """
    shape = format_named(format)
    if actor.party is not None and (company is None or company.pk != actor.party):
        raise NotFound("not_found", _("This does not exist, or not any more."))
    job = Job(
        site=site,
        organisation=organisation,
        company=company,
        format=format,
        file_name=file_name.strip()[:200],
        file_sha256=hashlib.sha256(data).hexdigest(),
        mode=mode or Job.Mode(shape.mode),
        actor_id=actor.id,
        actor_label=actor.label[:200],
        created_at=now,
    )
    subject_of(job).permit(actor, job)
    table = read_file(data, shape)
    with transaction.atomic():
        job.total = len(table)
        job.save(force_insert=True)
        rows = []
        for number, cells in table:
            row = Row(id=new_id(), site=site, job=job, number=number)
            row.keep(cells, "raw")
            rows.append(row)
        checked = _judge(job, dict(table), rows)
        Row.objects.bulk_create(rows, batch_size=BATCH)
        _count(job, checked, rows)
    return job


def _judge(job: Job, table: Mapping[int, Cells], rows: list[Row]) -> Checked[Any]:
    checked = subject_of(job).check(job, table)
    for row in rows:
        row.verdict = checked.verdict(row.number)
        row.faults = checked.faults.get(row.number, [])
    return checked


def _count(job: Job, checked: Checked[Any], rows: list[Row]) -> None:
    job.refused = sum(row.verdict == Row.Verdict.REFUSED for row in rows)
    job.warned = sum(row.verdict == Row.Verdict.WARNED for row in rows)
    job.added = len(checked.parsed)
    job.save(update_fields=["refused", "warned", "added"])


def recheck(job: Job) -> Checked[Any]:
    """Check all rows again, as the file and the database are now; only rows that fare differently are written."""
    rows = list(job.rows.order_by("number"))
    before = {row.number: (row.verdict, row.faults) for row in rows}
    checked = _judge(job, {row.number: row.cells for row in rows}, rows)
    changed = [row for row in rows if before[row.number] != (row.verdict, row.faults)]
    Row.objects.bulk_update(changed, ["verdict", "faults"], batch_size=BATCH)
    _count(job, checked, rows)
    return checked


@contextmanager
def _held(job: Job) -> Iterator[Job]:
    """The job's row, locked and fresh. Raises Conflict when somebody works on it at this moment."""
    with transaction.atomic():
        try:
            held = Job.objects.select_for_update(nowait=True, of=("self",)).get(site=job.site, pk=job.pk)
        except OperationalError as error:
            raise Conflict("import.busy", _("This import is being worked on. Try again in a moment.")) from error
        except Job.DoesNotExist as error:
            raise NotFound("not_found", _("This does not exist, or not any more.")) from error
        yield held


def _open_only(job: Job) -> None:
    if job.state != Job.State.CHECKED:
        raise Conflict("import.over", _("This import is over and cannot be changed."))


def _mine(actor: Actor, job: Job) -> None:
    subject_of(job).permit(actor, job)
    if actor.party is not None and job.company_id != actor.party:
        raise NotFound("not_found", _("This does not exist, or not any more."))


def mend_cell(*, actor: Actor, job: Job, number: int, column: str, value: str, now: datetime) -> Row:
    """Correct one cell in place of the file; `number` as the spreadsheet counts. Every row it touches is judged anew.

    What the file said stays in `Row.raw`. Raises NotFound for a row or column that is not there, Invalid for
    an over-long value, Conflict when the import is over.
    """
    _mine(actor, job)
    if len(value) > LONGEST_CELL:
        message = _("This is too long.")
        raise Invalid("import.cell", message, fields={column: message})
    with _held(job) as held:
        _open_only(held)
        row = held.rows.filter(number=number).first()
        if row is None or column not in {c.key for c in format_named(held.format).columns}:
            raise NotFound("import.cell", _("There is no such cell."))
        cells = row.cells
        kept = tuple(key for key in cells.numbers if key != column)
        row.keep(Cells({**cells.texts, column: value.strip()}, kept), "mended")
        row.save(update_fields=["mended"])
        recheck(held)
        row.refresh_from_db()
    return row


def apply_import(*, actor: Actor, job: Job, now: datetime) -> Job:
    """Make what the rows ask for, in one transaction. Applying twice changes nothing.

    All rows are checked once more, since the world may have moved. Raises Conflict: `import.faults` when a
    row is refused and the mode is all, or no row is left; `import.over`; `import.busy`; or what the acts
    themselves refuse when somebody was faster.
    """
    _mine(actor, job)
    with _held(job) as held:
        if held.state in (Job.State.APPLIED, Job.State.SEALED):
            return held
        _open_only(held)
        checked = recheck(held)
        if not checked.parsed or (held.mode == Job.Mode.ALL and held.refused):
            raise Conflict(
                "import.faults", _("Some rows cannot be imported. Correct them first."), refused=held.refused
            )
        subject = subject_of(held)
        made = subject.make(actor=actor, job=held, rows=checked.parsed, now=now)
        stand = subject.states(held, list(made.values()))
        Effect.objects.bulk_create(
            (
                Effect(
                    site_id=held.site_id,
                    job=held,
                    number=number,
                    object_kind=subject.KIND,
                    object_id=id_,
                    made=stand[id_],
                )
                for number, id_ in made.items()
            ),
            batch_size=BATCH,
        )
        held.state, held.ended_at, held.undo_until = Job.State.APPLIED, now, now + UNDO_TIME
        held.save(update_fields=["state", "ended_at", "undo_until"])
        _journal(actor, held, "import.applied", now)
    return held


def undo_import(*, actor: Actor, job: Job, now: datetime) -> Job:
    """Take back exactly what the import made, within 15 minutes. Undoing twice changes nothing.

    Raises Conflict: `import.too_late`, or `import.changed` with `differences` (row number, code, words and
    the names of the fields) when anybody has changed, removed or used something of it; then nothing is undone.
    """
    _mine(actor, job)
    with _held(job) as held:
        if held.state == Job.State.UNDONE:
            return held
        if not held.may_undo(now):
            raise Conflict("import.too_late", _("The time to undo this import is over."))
        effects = list(held.effects.order_by("number"))
        differences = _differences(held, effects)
        if differences:
            raise Conflict(
                "import.changed",
                _("Something of this import was changed since. Nothing was undone."),
                differences=differences,
            )
        subject_of(held).remove(actor=actor, job=held, ids=[effect.object_id for effect in effects], now=now)
        held.state, held.undo_until = Job.State.UNDONE, None
        held.save(update_fields=["state", "undo_until"])
        _forget(held)
        _journal(actor, held, "import.undone", now)
    return held


def _differences(job: Job, effects: list[Effect]) -> list[dict[str, Any]]:
    stand = subject_of(job).states(job, [effect.object_id for effect in effects])
    found = []
    for effect in effects:
        is_now = stand.get(effect.object_id)
        fields = sorted(
            key for key in {*effect.made, *(is_now or {})} if effect.made.get(key) != (is_now or {}).get(key)
        )
        if not fields:
            continue
        code = next((key for key in ("used", "bound") if key in fields), "changed") if is_now is not None else "gone"
        found.append({"row": effect.number, "code": code, "words": str(UNDO[code]), "fields": fields})
    return found


def abandon_import(*, actor: Actor, job: Job, now: datetime) -> Job:
    """Give an import up before it is applied; its rows are deleted."""
    _mine(actor, job)
    with _held(job) as held:
        if held.state == Job.State.ABANDONED:
            return held
        _open_only(held)
        held.state, held.ended_at = Job.State.ABANDONED, now
        held.save(update_fields=["state", "ended_at"])
        _forget(held)
        _journal(actor, held, "import.abandoned", now)
    return held


def seal_imports(*, actor: Actor, now: datetime) -> int:
    """Note that undo times are over, and delete the rows, which hold codes and names. Returns how many imports.

    For the worker, as role system: it passes all sites.
    """
    actor.require(P.SYSTEM)
    sealed = 0
    for job in Job.objects.filter(state=Job.State.APPLIED, undo_until__lte=now).select_for_update(skip_locked=True):
        job.state = Job.State.SEALED
        job.save(update_fields=["state"])
        _forget(job)
        sealed += 1
    return sealed


def _forget(job: Job) -> None:
    Row.objects.filter(site=job.site, job=job).delete()
    Effect.objects.filter(site=job.site, job=job).delete()


def _journal(actor: Actor, job: Job, verb: str, now: datetime) -> None:
    record(
        actor=actor,
        verb=verb,
        now=now,
        site=job.site_id,
        organisation=job.organisation_id,
        kind="import",
        id=job.id,
        label=job.file_name,
        format=job.format,
        rows=job.total,
        added=job.added,
        refused=job.refused,
    )
