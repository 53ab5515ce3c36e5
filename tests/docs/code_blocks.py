"""The code blocks of a Markdown page, run in a folder of their own as a reader would run them, in order.

python   runs in this process; a block sees the names of those before it.
sh       runs in bash and has to succeed. What takes hours is checked instead of done: see ``commands/``.
toml     is part of a router.toml that a router opens with; two arms are added where it has none.

A page has one folder, so that a block finds the files of those before it. A comment that begins with
``<!-- invisible-code-block: python`` prepares what a reader has; ``<!-- skip: next "reason" -->`` leaves the
next block out.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

from sybil import Document, Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser, SkipParser

from bandit_router import Router, make_settings
from tests.docs.forked_commands import TIMEOUT_S, forked_commands
from tests.services import LARGE, SMALL, clean_environment

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)

POSTGRESQL = "postgresql://user:password@host/database"
"""What the pages call a PostgreSQL database."""

_COMMANDS = Path(__file__).with_name("commands")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Somebody who works in ``folder`` and has a PostgreSQL database at ``postgresql_url``, if any."""

    folder: Path
    postgresql_url: str = ""

    def run_page(self, page: Path) -> None:
        """Run every block of the page. This process has to be in the folder."""
        document = parse_blocks(page, sh=self._run_example, toml=self._open_router)
        for example in document.examples():
            try:
                example.evaluate()
            except SkipTest:
                continue

    def run_script(self, script: str) -> str:
        """What a sh block prints; a service in it listens on a free port and ends with it."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = str(probe.getsockname()[1])
        for shown, real in ((POSTGRESQL, self.postgresql_url), ("8080", port)):
            script = script.replace(shown, real)
        script = f"set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"
        with forked_commands() as address:
            command = ["bash", "-c", script]
            return self.run_command(command, BANDIT_ROUTER_SERVER__PORT=port, FORKED_COMMANDS=address)

    def run_command(self, command: list[str], **environment: str) -> str:
        """What the command prints, with ``commands/`` and this Python first on the path."""
        path = [str(_COMMANDS), str(Path(sys.executable).parent), os.environ["PATH"]]
        stand_ins = {"ROOT": str(ROOT), "PYTHON": sys.executable, "MAKE": shutil.which("make") or "make"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=clean_environment() | {"PATH": os.pathsep.join(path)} | stand_ins | environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _run_example(self, example: Example) -> None:
        self.run_script(str(example.parsed))

    def _open_router(self, example: Example) -> None:
        tables = {"arms": [SMALL, LARGE], "store": {"url": f"sqlite:///toml-{example.line}.db"}}
        with Router.open(make_settings(tables | tomllib.loads(str(example.parsed)))):
            pass


def parse_blocks(page: Path, **evaluators: Callable[[Example], None]) -> Document:
    """The blocks of a page: Python's, and those of the languages with an evaluator."""
    parsers = [CodeBlockParser(language, evaluator) for language, evaluator in evaluators.items()]
    return Sybil([PythonCodeBlockParser(), *parsers, SkipParser()]).parse(page)
