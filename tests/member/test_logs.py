"""Logs: one JSON line a fact, and nothing that is named like a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from member.logs import hide_secrets

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import logging
import structlog
from member.logs import configure_logs

configure_logs()
log = structlog.get_logger("member").bind(member="sunmarket.example")
log.info("posted", cycle=7, hot_key="0x42", rpc_url="http://token@node")
log.debug("not worth a line")
try:
    raise ValueError("broken")
except ValueError:
    log.error("stage failed", exc_info=True)
logging.getLogger("httpx").info("GET http://token@node")
logging.getLogger("uvicorn.error").warning("slow")
"""


def test_one_json_line_a_fact() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.stdout == ""
    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "posted"),
        ("error", "stage failed"),
        ("warning", "slow"),
    ]
    assert (lines[0]["member"], lines[0]["cycle"]) == ("sunmarket.example", 7)
    assert lines[0]["hot_key"] == lines[0]["rpc_url"] == "[hidden]"
    assert "ValueError: broken" in lines[1]["exception"]
    assert "token" not in done.stderr


def test_what_is_named_like_a_secret_is_hidden() -> None:
    fields = {"password": "a", "api_token": "b", "keyboard": "c", "monkey": "d", "database_url": "e", "URL": "f"}
    assert hide_secrets(None, "", fields) == {
        "password": "[hidden]",
        "api_token": "[hidden]",
        "keyboard": "c",
        "monkey": "d",
        "database_url": "[hidden]",
        "URL": "[hidden]",
    }
