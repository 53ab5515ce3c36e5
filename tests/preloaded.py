"""What processes of tests have imported when they begin: all that a service imports, sooner or later.

They have compiled the SQL of a router, too.
"""

import gc
import os
import tempfile

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
import bandit_router.server.supervisor
from bandit_router.settings import make_settings
from tests.certificates import share_certificates
from tests.compiled_statements import share_compiled_statements
from tests.services import clean_environment


def _compile_statements() -> None:
    """Use a router once."""
    with tempfile.TemporaryDirectory() as folder:
        tables = {
            "arms": [{"name": "one", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}],
            "features": {"embedding": "none"},
            "store": {"url": f"sqlite:///{folder}/router.db"},
        }
        with bandit_router.router.Router.open(make_settings(tables)) as router:
            router.feedback(router.route("Why?").id, quality=1.0)
            router.learn()


for setting in os.environ.keys() - clean_environment().keys():
    del os.environ[setting]
share_certificates()
share_compiled_statements()
_compile_statements()
gc.enable()
gc.freeze()  # a process that collects garbage would copy all of it
