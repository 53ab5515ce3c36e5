"""The log of `serve`: every line has a time, a level and a logger, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from enum import StrEnum
from typing import Any


class LogFormat(StrEnum):
    """How `serve` writes its log on stderr."""

    TEXT = "text"
    JSON = "json"


class TextFormatter(logging.Formatter):
    """``2026-01-31T12:00:00.000Z INFO logger: message``, in UTC."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.converter = time.gmtime


class JsonFormatter(TextFormatter):
    """One object a line: time, level, logger, message, process, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class StderrHandler(logging.Handler):
    """Writes to the standard error of the moment, which a caller in the same process may replace."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except (OSError, ValueError):  # it is closed
            self.handleError(record)


_FORMATTERS = {LogFormat.TEXT: TextFormatter, LogFormat.JSON: JsonFormatter}


def make_log_config(log_format: LogFormat) -> dict[str, Any]:
    """The configuration of the standard library's logging, for all loggers; workers can be given it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _FORMATTERS[log_format]}},
        "handlers": {"stderr": {"()": StderrHandler, "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {"uvicorn": {"level": "INFO"}, "bandit_router": {"level": "INFO"}},
    }
