"""The wall between sites, as migration operations.

`SiteWall("app", "Model")` gives a site-owned table: row-level security by `gatehouse_sites()` for the app
role, an always-true policy for the system role, grants for both, UNIQUE (site, id), and for every link to
another site-owned table a composite foreign key (site, x) -> (site, id), since foreign-key checks pass
row security. Django's own constraint is left out for those links (`db_constraint=False`).
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

ALL = "SELECT, INSERT, UPDATE, DELETE"
READ = "SELECT"
NOTHING = ""


def site_links(model: type[models.Model]) -> list[tuple[str, str, str]]:
    """(column, parent table, parent key column) of every link from this model to a site-owned one."""
    links = []
    for field in model._meta.concrete_fields:
        parent = field.related_model
        if (
            not isinstance(field, models.ForeignKey)
            or getattr(field, "db_constraint", True)
            or not isinstance(parent, type)
        ):
            continue
        if any(f.name == "site" for f in parent._meta.concrete_fields):
            links.append((str(field.column), parent._meta.db_table, str(parent._meta.pk.column)))
    return links


class Grant(Operation):
    """Rights of the two roles on a table that has no site, or whose rows are read before a site is entered."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, model_name: str, app: str = ALL, system: str = READ) -> None:
        self.model_name = model_name
        self.app = app
        self.system = system

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Rights are no model state."""

    def _execute(self, editor: BaseDatabaseSchemaEditor, model: type[models.Model]) -> None:
        table = editor.quote_name(model._meta.db_table)
        for role, rights in (("gatehouse_app", self.app), ("gatehouse_system", self.system)):
            if rights:
                editor.execute(f"GRANT {rights} ON {table} TO {role}")
        if isinstance(model._meta.pk, models.BigAutoField | models.AutoField):
            sequence = editor.quote_name(f"{model._meta.db_table}_{model._meta.pk.column}_seq")
            editor.execute(f"GRANT USAGE, SELECT ON SEQUENCE {sequence} TO gatehouse_app, gatehouse_system")

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self._execute(schema_editor, to_state.apps.get_model(app_label, self.model_name))

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """The table goes, and its rights with it."""

    def describe(self) -> str:
        return f"Grant rights on {self.model_name}"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (self.__class__.__name__, [self.model_name], {"app": self.app, "system": self.system})


class SiteWall(Grant):
    """See the module's text. `shared` also lets rows without a site be seen by everybody."""

    def __init__(self, model_name: str, app: str = ALL, system: str = READ, shared: bool = False) -> None:
        super().__init__(model_name, app, system)
        self.shared = shared

    def _execute(self, editor: BaseDatabaseSchemaEditor, model: type[models.Model]) -> None:
        super()._execute(editor, model)
        table = model._meta.db_table
        name = editor.quote_name(table)
        column = next(
            (f.column for f in model._meta.concrete_fields if f.column == "site_id"), str(model._meta.pk.column)
        )
        inside = f"{column} = ANY ((SELECT gatehouse_sites())::uuid[])"
        if self.shared:
            inside = f"({column} IS NULL OR {inside})"
        editor.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        editor.execute(f"CREATE POLICY site ON {name} TO gatehouse_app USING ({inside}) WITH CHECK ({inside})")
        editor.execute(f"CREATE POLICY everything ON {name} TO gatehouse_system USING (true) WITH CHECK (true)")
        key = str(model._meta.pk.column)
        if key != "site_id" and not self.shared and any(f.name == "site" for f in model._meta.concrete_fields):
            editor.execute(
                f"ALTER TABLE {name} ADD CONSTRAINT {editor.quote_name(table + '_site_key')} UNIQUE (site_id, {key})"
            )
        for link, parent, parent_key in site_links(model):
            constraint = editor.quote_name(f"{table}_{link}_same_site"[:63])
            editor.execute(
                f"ALTER TABLE {name} ADD CONSTRAINT {constraint} FOREIGN KEY (site_id, {link}) "
                f"REFERENCES {editor.quote_name(parent)} (site_id, {parent_key}) DEFERRABLE INITIALLY IMMEDIATE"
            )

    def describe(self) -> str:
        return f"Wall off {self.model_name} by site"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (
            self.__class__.__name__,
            [self.model_name],
            {"app": self.app, "system": self.system, "shared": self.shared},
        )
