"""`serve`: run the HTTP API."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption
from bandit_router.router import Router
from bandit_router.settings import CONFIG_VARIABLE, load_settings


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Overrides server.port.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Overrides server.workers.")] = None,
) -> None:
    """Serve the HTTP API."""
    import uvicorn

    settings = load_settings(config)
    with Router.open(settings):  # a wrong setting or schema is one clear error here, not one per worker
        pass
    os.environ[CONFIG_VARIABLE] = str(config.resolve())
    uvicorn.run(
        "bandit_router.server.app:from_environment",
        factory=True,
        host=host or settings.server.host,
        port=settings.server.port if port is None else port,
        workers=workers or settings.server.workers,
        access_log=False,
        proxy_headers=False,  # the client's address is never used
    )
