"""The demo from start to end: starts the service, runs two clients, shows the scoreboard, verifies."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bandit_router.demo.client import RecordedQuery, route_and_send_feedback
from bandit_router.demo.scoreboard import Scoreboard
from bandit_router.errors import RouterError
from bandit_router.evaluation.datasets import Dataset
from bandit_router.learning.audit import AuditReport
from bandit_router.router import Router
from bandit_router.settings import CONFIG_VARIABLE, load_settings

_CLIENTS = 2
_TRADE = 0.1  # reward given up to save the mean cost of the dearest model, without a cost weight
_START_TIMEOUT_S = 60.0
_OUTPUT_TOKENS = 1000
_REDRAW_EVERY = 50


def run_demo(
    *,
    dataset: Dataset,
    queries: int | None,
    cost_weight: float | None,
    seed: int,
    folder: Path,
    console: Console,
) -> AuditReport:
    """Send the dataset through a fresh service that keeps its files in ``folder``; the audit of its database.

    ``queries`` is how many to send, all if None. ``seed`` is of their order and of the clients.
    """
    order = np.random.default_rng(seed).permutation(len(dataset.queries))[:queries]
    dataset = dataset.take(order)
    if cost_weight is None:
        cost_weight = _TRADE / float(dataset.cost_usd.mean(axis=0).max())
    config = _find_config(folder)
    config.write_text(_make_settings(dataset, folder / "router.db", cost_weight), encoding="utf-8")
    board = Scoreboard(data=dataset, cost_weight=cost_weight)
    with _run_service(config) as url:
        _run_clients(url, dataset, board, seed, console)
    with Router.open(load_settings(config)) as router:
        router.learn()
        return router.verify()


def keep_dashboard_open(folder: Path, console: Console) -> None:
    """Serve what :func:`run_demo` left in the folder until Ctrl-C, and say where its dashboard is."""
    with _run_service(_find_config(folder)) as url, suppress(KeyboardInterrupt):
        console.print(f"dashboard: {url}/dashboard (Ctrl-C ends it)")
        signal.pause()


def _find_config(folder: Path) -> Path:
    return folder / "router.toml"


def _make_settings(dataset: Dataset, database: Path, cost_weight: float) -> str:
    """A router.toml whose arms are the dataset's models, priced at their mean recorded cost."""
    lines = [
        "[router]",
        f"cost_weight = {cost_weight!r}",
        "[store]",
        f"url = {json.dumps(f'sqlite:///{database}')}",
        "[learner]",
        "interval_s = 0.1",
    ]
    for model, cost in zip(dataset.models, dataset.cost_usd.mean(axis=0).tolist(), strict=True):
        lines += [
            "[[arms]]",
            f"name = {json.dumps(model)}",
            "input_usd_per_mtok = 0.0",
            f"output_usd_per_mtok = {cost * 1e6 / _OUTPUT_TOKENS!r}",
            f"expected_output_tokens = {_OUTPUT_TOKENS}",
        ]
    return "\n".join(lines) + "\n"


@contextmanager
def _run_service(config: Path) -> Iterator[str]:
    """`bandit-router serve` as a process of its own; yields its URL once it is ready, and stops it after."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bandit_router.cli", "serve", "--port", str(port)]
    log_path = config.with_name("service.log")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | {CONFIG_VARIABLE: str(config)}, stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            if not _wait_until_ready(url, process):
                raise RouterError(f"the service did not start:\n{log_path.read_text()}")
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether the service answers before it ends or the time is up."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz"):
                return True
        except OSError:
            time.sleep(0.05)
    return False


def _run_clients(url: str, dataset: Dataset, board: Scoreboard, seed: int, console: Console) -> None:
    """Run the clients side by side, and redraw the scoreboard as they report their choices."""
    context = multiprocessing.get_context("spawn")
    choices = context.Queue()
    recorded = [
        RecordedQuery(
            index=i,
            query=query,
            quality=dict(zip(dataset.models, dataset.quality[i].tolist(), strict=True)),
            cost_usd=dict(zip(dataset.models, dataset.cost_usd[i].tolist(), strict=True)),
        )
        for i, query in enumerate(dataset.queries)
    ]
    clients = [
        context.Process(
            target=route_and_send_feedback,
            args=(url, recorded[k::_CLIENTS], seed + k, choices),
            daemon=True,
        )
        for k in range(_CLIENTS)
    ]
    progress = Progress(TextColumn("routing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = progress.add_task("routing", total=len(recorded))
    with Live(Group(progress, board.table()), console=console, refresh_per_second=4) as live:
        for client in clients:
            client.start()
        while len(board.order) < len(recorded):
            try:
                board.add(*choices.get(timeout=0.2))
            except Empty:
                if not any(client.is_alive() for client in clients):
                    break
            progress.update(bar, completed=len(board.order))
            if len(board.order) % _REDRAW_EVERY == 0 or len(board.order) == len(recorded):
                live.update(Group(progress, board.table()))
        for client in clients:
            client.join()
    if any(client.exitcode for client in clients):
        raise RouterError("a client of the demo failed; its traceback is above")
