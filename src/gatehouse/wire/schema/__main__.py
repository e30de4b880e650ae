"""Writes the snapshot anew."""

from gatehouse.wire.schema import SNAPSHOT, document

SNAPSHOT.write_text(document(), encoding="utf-8")
