"""Tables keep to the layers, and migrations to one line."""

from __future__ import annotations

import configparser

import pytest
from django.apps import apps
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from tests.factories import Model, ours
from tests.requirements import ROOT


def layers() -> list[set[str]]:
    """The cloud's apps from top to bottom, as .importlinter has them."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    lines = contracts["importlinter:contract:cloud"]["layers"].split("\n")
    return [{name.strip() for name in line.split("|")} for line in lines if line.strip()]


def height(app: str) -> int:
    """0 is the lowest layer."""
    stack = list(reversed(layers()))
    return next(number for number, apps_ in enumerate(stack) if app in apps_)


@pytest.mark.parametrize("model", ours(), ids=lambda model: model._meta.label)
def test_links_between_tables_point_downward(model: Model) -> None:
    here = model._meta.app_label
    for field in (*model._meta.concrete_fields, *model._meta.many_to_many):
        parent = field.related_model
        if isinstance(parent, type) and parent.__module__.startswith("gatehouse."):
            there = parent._meta.app_label
            assert there == here or height(there) < height(here), f"{model._meta.label}.{field.name} points up"


def test_every_app_of_the_project_has_its_layer() -> None:
    known = {app.label for app in apps.get_app_configs() if app.name.startswith("gatehouse.")}
    assert known == set().union(*layers()) - {"config"}


def test_each_app_has_one_last_migration() -> None:
    graph = MigrationLoader(None).graph
    for label in {model._meta.app_label for model in ours()}:
        assert len(graph.leaf_nodes(label)) == 1, f"{label} has branches: {graph.leaf_nodes(label)}"


def test_models_and_migrations_say_the_same() -> None:
    loader = MigrationLoader(None)
    wanted = ProjectState.from_apps(apps)
    changes = MigrationAutodetector(loader.project_state(), wanted).changes(graph=loader.graph)
    assert {app: [str(operation) for m in ms for operation in m.operations] for app, ms in changes.items()} == {}
