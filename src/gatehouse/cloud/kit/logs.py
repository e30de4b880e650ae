"""One JSON line per event on standard output (GH-RUN-10). Messages are constants, facts are fields."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NEVER = ("pin", "card", "password", "token", "secret", "picture", "code")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request at work; stands in every log line, on error pages and in the journal."""


class JsonLine(logging.Formatter):
    """Time, level, logger, message and the `extra` fields; fields named like a secret are masked."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        for name, value in vars(record).items():
            if name not in _OWN and not name.startswith("_"):
                line[name] = "***" if name.lower() in _NEVER else value
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
