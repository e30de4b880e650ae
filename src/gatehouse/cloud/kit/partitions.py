"""Tables partitioned by month on their time-ordered id, as a migration operation."""

from __future__ import annotations

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState


class CreatePartitionedModel(migrations.CreateModel):
    """CREATE TABLE ... PARTITION BY RANGE (id), with partitions from last month to three months ahead."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        plain = schema_editor.sql_create_table
        schema_editor.sql_create_table = plain + " PARTITION BY RANGE (id)"
        try:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        finally:
            schema_editor.sql_create_table = plain
        table = to_state.apps.get_model(app_label, self.name)._meta.db_table
        schema_editor.execute("SELECT gatehouse_make_partitions(%s::regclass, 3)", [table])
