"""What loading and using an embedding does to the process around it, seen from a fresh one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OFFLINE = {"HF_HUB_OFFLINE": "1", "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}


def run(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | OFFLINE | {"HOME": str(home)}
    env.pop("TOKENIZERS_PARALLELISM", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_pipeline_needs_no_network_and_writes_nothing_to_the_home(tmp_path: Path) -> None:
    code = """
import socket
def refuse(*args, **kwargs): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
from bandit_router.features import build_pipeline, query_from_text
print(build_pipeline().context(query_from_text("Why?")).shape)
"""
    assert run(code, tmp_path).stdout == "(80,)\n"
    assert list(tmp_path.iterdir()) == []


def test_importing_features_does_not_import_wordllama(tmp_path: Path) -> None:
    code = "import sys, bandit_router.features; print('wordllama' in sys.modules)"
    assert run(code, tmp_path).stdout == "False\n"


def test_loading_leaves_the_root_logger_to_the_application(tmp_path: Path) -> None:
    code = """
import logging
from bandit_router.features import load_wordllama
load_wordllama(64)
root = logging.getLogger()
print(root.handlers, root.level == logging.WARNING)
logging.basicConfig(level=logging.ERROR)
print(len(root.handlers), root.level == logging.ERROR)
"""
    assert run(code, tmp_path).stdout == "[] True\n1 True\n"


def test_a_failed_load_leaves_the_root_logger_alone_too(tmp_path: Path) -> None:
    code = """
import logging, sys
sys.modules["wordllama"] = None
from bandit_router.errors import ConfigError
from bandit_router.features import load_wordllama
try:
    load_wordllama(64)
except ConfigError:
    print(logging.getLogger().handlers)
"""
    assert run(code, tmp_path).stdout == "[]\n"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not list threads")
def test_embedding_starts_no_threads_which_forking_servers_could_not_take_along(tmp_path: Path) -> None:
    code = """
import os
from bandit_router.features import load_wordllama
embed = load_wordllama(64)
before = len(os.listdir("/proc/self/task"))
embed("Why is the sky blue?")
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert run(code, tmp_path).stdout == "0\n"
