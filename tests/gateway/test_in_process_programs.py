"""Programs with the gateway in their process: how they import it, fork, and end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bandit_router.providers.scripted import Scene
from bandit_router.types import CallOutcome
from tests.gateway.conftest import arms_to, read_calls
from tests.services import clean_environment, write_settings

HELLO = Scene(pieces=("Hello", " wor", "ld"))


def run_script(script: str, settings: Path) -> str:
    """What it prints; a program of its own that ends by itself."""
    command = [sys.executable, "-W", "error", "-c", script, str(settings)]
    done = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


_NEVER_CLOSES = """
import sys
import openai
import bandit_router

client = openai.OpenAI(api_key="in-process", http_client=bandit_router.http_client(sys.argv[1]))
ask = client.chat.completions.create
print(ask(model="auto", messages=[{"role": "user", "content": "Say hello."}]).choices[0].message.content)
"""


def test_a_program_that_never_closes_its_client_ends_and_has_accounted_its_calls(tmp_path: Path) -> None:
    with arms_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as (settings, _):
        assert run_script(_NEVER_CLOSES, settings) == "Hello world\n"
        ((_, end),) = read_calls(tmp_path / "router.db", 1)
        assert end.outcome is CallOutcome.ANSWERED


_NEVER_OPENS = """
import sys
import bandit_router
from bandit_router.errors import StoreError

http_client = bandit_router.http_client(sys.argv[1])
try:
    http_client.get("http://any/v1/models")
except StoreError:
    print("refused")
"""


def test_a_program_whose_router_never_opened_ends(tmp_path: Path) -> None:
    (tmp_path / "router.db").write_text("no database")
    assert run_script(_NEVER_OPENS, write_settings(tmp_path)) == "refused\n"


_FORKS = """
import faulthandler, os, sys, warnings
import openai
import bandit_router
from bandit_router.errors import RouterForked

warnings.simplefilter("ignore", DeprecationWarning)  # that threads do not survive a fork is the point
client = openai.OpenAI(
    api_key="in-process", http_client=bandit_router.http_client(sys.argv[1]), max_retries=0
)


def ask():
    client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Say hello."}])


ask()
child = os.fork()
if child == 0:
    faulthandler.dump_traceback_later(20, exit=True)
    try:
        ask()
    except RouterForked:
        client.close()
        sys.exit(7)  # runs what is registered to run at exit
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
ask()
client.close()
"""


def test_in_a_forked_child_it_raises_and_its_parent_goes_on(tmp_path: Path) -> None:
    with arms_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as (settings, _):
        run_script(_FORKS, settings)
        assert len(read_calls(tmp_path / "router.db", 2)) == 2


def test_the_library_imports_no_web_framework_before_a_client_is_asked_for(tmp_path: Path) -> None:
    script = """
import sys
import bandit_router
assert not {"numpy", "sqlalchemy"} & sys.modules.keys(), "loaded"
assert callable(bandit_router.Router) and "numpy" in sys.modules
assert not {"fastapi", "starlette", "httpx2", "anyio", "alembic"} & sys.modules.keys(), "loaded"
assert {"http_client", "async_http_client"} <= set(bandit_router.__all__)
assert callable(bandit_router.http_client) and "fastapi" in sys.modules
assert all(getattr(bandit_router, name) for name in bandit_router.__all__)
try:
    bandit_router.nothing
except AttributeError as error:
    print(error)
"""
    assert run_script(script, tmp_path) == "module 'bandit_router' has no attribute 'nothing'\n"
