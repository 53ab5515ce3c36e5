"""Processes of tests: each is forked from one that has imported the package, and nothing else, already.

A new interpreter would import for two seconds before it begins. A test starts hundreds of processes.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext


def _make_context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


PROCESSES = _make_context()
