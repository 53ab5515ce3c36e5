"""What processes of tests have imported when they begin: all that a service imports, sooner or later."""

import gc

gc.disable()  # nothing that is imported is garbage

import encodings.idna  # noqa: F401

import alembic.command
import alembic.config  # noqa: F401
import anthropic  # noqa: F401
import openai  # noqa: F401
import pydantic.v1  # noqa: F401
import uvicorn.lifespan.on
import uvicorn.loops.uvloop  # noqa: F401

import bandit_router.cli.serve
import bandit_router.router
import bandit_router.server.app
import bandit_router.server.limited_http
import bandit_router.server.supervisor  # noqa: F401

gc.enable()
gc.freeze()  # a process that collects garbage would copy all of it
