"""Each lint against lines that are right and lines that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lints import ROOT, Lint, check_tree, prose, unscoped, writes

SCREEN = Path("cloud/portal/devices/views.py")

GOOD: list[tuple[Lint, str]] = [
    (unscoped.LINT, "Relay.objects.visible_to(actor)"),
    (unscoped.LINT, "Relay.objects.visible_to(actor).filter(enabled=True).order_by('name')[:20]"),
    (unscoped.LINT, "Relay.objects.select_related('device').visible_to(request.actor).count()"),
    (unscoped.LINT, "relay = Relay.objects.get_visible(actor, id)"),
    (unscoped.LINT, "get_object_or_404(Relay.objects.visible_to(actor), pk=id)"),
    (unscoped.LINT, "relays_open_now(actor=actor, now=now)"),
    (unscoped.LINT, "Plan.objects.all()  # unscoped: plans belong to no site"),
    (unscoped.LINT, "# unscoped: plans belong to no site\nPlan.objects.all()"),
    (writes.LINT, "open_relay(actor=actor, relay=relay, now=now)"),
    (writes.LINT, "context.update({'a': 1})"),
    (writes.LINT, "digest.update(data)"),
    (writes.LINT, "picture.save(buffer, 'PNG')"),
    (writes.LINT, "cache.delete('key')"),
    (writes.LINT, "response = make.create(folder)"),
    (writes.LINT, "'SELECT id FROM relay FOR UPDATE'"),
    (writes.LINT, "'Update the relay, then set the door'"),
    (writes.LINT, "'''DELETE FROM is what the owner does.'''"),
    (writes.LINT, "row.save()  # writes: the framework's own session row"),
    (prose.LINT, "REASON = 'access.outside_hours'"),
    (prose.LINT, '"""Words for developers stand in docstrings."""'),
    (prose.LINT, "def decide():\n    'May it open?'"),
    (prose.LINT, "raise ValueError('no such zone: ' + zone)"),
    (prose.LINT, "assert zone is not None, 'checked by the caller above'"),
    (prose.LINT, "def parse(notation: Literal['plain hex']) -> None: ..."),
    (prose.LINT, "field: Annotated[int, Meta(description='Seconds since the boot')]"),
    (prose.LINT, "schema = {'title': f'Gatehouse wire {VERSION}'}"),
    (prose.LINT, "PATTERN = re.compile(r'[0-9]+(#[0-9]+)?')"),
    (prose.LINT, "LABEL = 'gatehouse claim'  # prose: bound into a key, never shown"),
]

BAD: list[tuple[Lint, str, int]] = [
    (unscoped.LINT, "Relay.objects.all()", 1),
    (unscoped.LINT, "Relay.objects.filter(site=site).first()", 1),
    (unscoped.LINT, "rows = Relay.objects", 1),
    (unscoped.LINT, "devices.models.Relay.objects.get(pk=id)", 1),
    (unscoped.LINT, "Relay._default_manager.count()", 1),
    (unscoped.LINT, "get_object_or_404(Relay, pk=id)", 1),
    (unscoped.LINT, "Relay.objects.visible_to(actor).filter(device__in=Device.objects.filter(name='x'))", 1),
    (unscoped.LINT, "async def f():\n    return [row async for row in Relay.objects.all()]", 2),
    (unscoped.LINT, "Plan.objects.all()  # unscoped: ok", 1),
    (unscoped.LINT, "x = 1  # unscoped: a reason that is for another line\ny = 2\nPlan.objects.all()", 3),
    (writes.LINT, "relay.save()", 1),
    (writes.LINT, "relay.save(update_fields=['name'])", 1),
    (writes.LINT, "form.save(commit=False)", 1),
    (writes.LINT, "Relay.objects.create(name='x')", 1),
    (writes.LINT, "Relay.objects.visible_to(actor).update(enabled=False)", 1),
    (writes.LINT, "Relay.objects.visible_to(actor).delete()", 1),
    (writes.LINT, "Relay.objects.bulk_create(rows)", 1),
    (writes.LINT, "Relay.objects.get_or_create(name='x')", 1),
    (writes.LINT, "async def f():\n    await relay.asave()", 2),
    (writes.LINT, "cursor.execute('INSERT INTO relay (id) VALUES (%s)', [id])", 1),
    (writes.LINT, "SQL = '''\nUPDATE devices_relay SET name = 'x'\n'''", 1),
    (writes.LINT, "SQL = f'delete from {table} where id = %s'", 1),
    (writes.LINT, "SQL = 'WITH gone AS (DELETE FROM relay RETURNING id) SELECT id FROM gone'", 1),
    (prose.LINT, "TEXT = 'Access denied'", 1),
    (prose.LINT, "return_text('The door is open.')", 1),
    (prose.LINT, "TEXT = f'Hello {name}, come in please'", 1),
    (prose.LINT, "WORDS = {'granted': 'Welcome!'}", 1),
    (prose.LINT, "WORDS = {'granted': 'Bitte eintreten'}", 1),
    (prose.LINT, "LABEL = 'Access denied'  # prose:", 1),
    (prose.LINT, "WORDS = {'label': 'Access denied'}", 1),
]


@pytest.mark.parametrize(("lint", "text"), GOOD, ids=[text for _, text in GOOD])
def test_what_is_right_passes(lint: Lint, text: str) -> None:
    assert lint.check(text) == []


@pytest.mark.parametrize(("lint", "text", "line"), BAD, ids=[text for _, text, _ in BAD])
def test_what_is_wrong_is_found_where_it_stands_and_told_how_to_mend(lint: Lint, text: str, line: int) -> None:
    (finding,) = lint.check(text)
    assert finding.line == line
    assert f"# {lint.escape}: <reason>" in finding.message


@pytest.mark.parametrize(
    ("lint", "path", "looked_at"),
    [
        (unscoped.LINT, "cloud/link/handlers.py", True),
        (unscoped.LINT, "cloud/devices/services.py", False),
        (writes.LINT, "cloud/devices/tasks.py", True),
        (writes.LINT, "cloud/devices/queries.py", True),
        (writes.LINT, "cloud/devices/services.py", False),
        (writes.LINT, "cloud/access/services/visitors.py", False),
        (writes.LINT, "cloud/access/migrations/0002_windows.py", False),
        (writes.LINT, "gateway/store.py", False),
        (prose.LINT, "rules/access.py", True),
        (prose.LINT, "wire/messages.py", True),
        (prose.LINT, "lab/words.py", False),
    ],
)
def test_each_lint_looks_at_its_own_places(lint: Lint, path: str, looked_at: bool) -> None:
    assert lint.applies(Path(path)) is looked_at


def test_a_finding_in_a_tree_names_file_line_and_lint(tmp_path: Path) -> None:
    view = tmp_path / SCREEN
    view.parent.mkdir(parents=True)
    view.write_text("def screen(request):\n    return Relay.objects.all()\n")
    (found,) = check_tree([unscoped.LINT, writes.LINT, prose.LINT], tmp_path)
    assert found.startswith(f"{SCREEN}:2: unscoped-query: `Relay.objects` asks for rows of everybody")


def test_there_are_at_most_three() -> None:
    assert len(list((ROOT / "tests/lints").glob("[a-z]*.py"))) - len(["test_lints.py"]) <= 3
