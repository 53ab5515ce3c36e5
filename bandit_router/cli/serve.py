"""`serve`: run the HTTP API."""

from __future__ import annotations

import logging.config
import math
import os
from typing import Annotated

import typer

from bandit_router.cli.log_format import LogFormat, make_log_config
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption
from bandit_router.router import Router
from bandit_router.settings import CONFIG_VARIABLE, load_settings
from bandit_router.settings.models import ENV_PREFIX

_WORKER_START_S = (
    60  # on a busy machine imports take longer than uvicorn's 5 s, after which it kills a worker
)


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Overrides server.port.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Overrides server.workers.")] = None,
    open_to_all: Annotated[
        bool,
        typer.Option(
            "--open", metavar="", help="Answer anybody who can connect while there are no API keys."
        ),
    ] = False,
    log_format: Annotated[LogFormat, typer.Option(help="How the log on stderr is written.")] = LogFormat.TEXT,
) -> None:
    """Serve the HTTP API."""
    from bandit_router.server import supervisor
    from bandit_router.server.limited_http import make_http_protocol
    from bandit_router.store.engine import warn_of_old_sqlite

    log_config = make_log_config(log_format)
    logging.config.dictConfig(log_config)

    settings = load_settings(config)
    warn_of_old_sqlite(settings.store.url)
    with Router.open(settings):  # a wrong setting or schema is one clear error here, not one per worker
        pass
    if open_to_all:  # the workers read it there
        os.environ[f"{ENV_PREFIX}SERVER__OPEN"] = "true"
    os.environ[CONFIG_VARIABLE] = str(config.resolve())
    supervisor.run(
        "bandit_router.server.app:from_environment",
        factory=True,
        host=host or settings.server.host,
        port=settings.server.port if port is None else port,
        workers=workers or settings.server.workers,
        http=make_http_protocol(settings.server),
        timeout_graceful_shutdown=math.ceil(settings.server.shutdown_timeout_s),
        timeout_worker_healthcheck=_WORKER_START_S,
        log_config=log_config,
        access_log=False,
        proxy_headers=False,  # the client's address is never used
    )
