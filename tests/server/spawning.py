"""`bandit-router`, whose workers are new interpreters, as everywhere but in tests.

python -m tests.server.spawning serve ...
"""

from __future__ import annotations

import multiprocessing

import uvicorn._subprocess

from bandit_router.cli import main

MODULE = "tests.server.spawning"

if __name__ == "__main__":
    uvicorn._subprocess.spawn = multiprocessing.get_context("spawn")
    main()
