"""Logs: one JSON line a fact on stderr, with the fact's name and ids; no bodies, no keys, no addresses of nodes."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog

_SECRET: Final = ("key", "password", "secret", "token", "authorization", "url")


def configure_logs() -> None:
    """Sets up the logs of this process, those of libraries included, which say only what is wrong."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[lines], force=True)


def hide_secrets(_: object, __: str, fields: Any) -> Any:
    """Blanks what is named like a secret: the last line of defence, for nothing of the kind should be logged."""
    for name in fields:
        if any(part in _SECRET for part in name.lower().split("_")):
            fields[name] = "[hidden]"
    return fields
