"""The second act of the demo: OpenAI's client streams queries through the gateway, and a model is down."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from openai import OpenAI
from rich import box
from rich.console import Console
from rich.table import Table

from bandit_router.learning.audit import AuditReport
from bandit_router.router import Router
from bandit_router.server.in_process import http_client
from bandit_router.settings import Settings, load_settings
from bandit_router.store.store import Store
from bandit_router.types import CallEnd, CallOutcome, Decision, Outcome, Reason

_QUALITY = {"small": 0.8, "large": 0.9}
"""What the feedback says of the answers of each model, which are made up."""

_SETTINGS = """
[store]
url = {url}
[router]
cost_weight = 20.0
[[arms]]
name = "small"
provider = "scripted"
input_usd_per_mtok = 0.15
output_usd_per_mtok = 0.60
script = {{ seed = {seed}, first_token_s = 0.02, gap_s = 0.001, outage_after = 2, outage_calls = 5 }}
[[arms]]
name = "large"
provider = "scripted"
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.0
script = {{ seed = {seed}, first_token_s = 0.06, gap_s = 0.002 }}
"""


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer that was streamed to its end: its own id, and the decision in its headers."""

    id: str
    decision_id: str
    arm: str


def play_gateway(*, queries: Sequence[str], seed: int, console: Console) -> AuditReport:
    """Stream every query, show what was called and what it cost, and learn from feedback on the answers.

    ``seed`` is of the models' words and times. Returns the audit of the database.
    """
    with tempfile.TemporaryDirectory(prefix="bandit-router-demo-") as folder:
        config = Path(folder) / "router.toml"
        url = json.dumps(f"sqlite:///{folder}/router.db")
        config.write_text(_SETTINGS.format(url=url, seed=seed), encoding="utf-8")
        settings = load_settings(config)
        with OpenAI(api_key="in-process", http_client=http_client(settings)) as client:
            answers = [_stream(client, query) for query in queries]
        console.print(
            f"{len(answers)} queries streamed by OpenAI's client, while small is down for five calls"
        )
        console.print(_make_table(_read_calls(settings, answers)))
        with Router.open(settings) as router:
            outcomes = [router.feedback(a.id, quality=_QUALITY[a.arm])["quality"] for a in answers]
            router.learn()
            counted = ", ".join(f"{arm} {count}" for arm, count in sorted(router.counts().items()))
            console.print(
                f"feedback on {outcomes.count(Outcome.RECORDED)} answers, by their own ids; "
                f"learned from: {counted}"
            )
            return router.verify()


def _stream(client: OpenAI, query: str) -> _Answer:
    """Ask as any program does that uses OpenAI, with the model left to the router."""
    create = client.chat.completions.with_raw_response.create
    response = create(model="auto", messages=[{"role": "user", "content": query}], stream=True)
    ids = {chunk.id for chunk in response.parse()}
    return _Answer(ids.pop(), response.headers["x-bandit-decision"], response.headers["x-bandit-arm"])


def _read_calls(settings: Settings, answers: Sequence[_Answer]) -> list[tuple[Decision, CallEnd]]:
    """The calls behind the answers, with those that had failed before."""
    store = Store.open(settings.store.url, settings.router.name, create=False)
    calls = []
    try:
        for answer in answers:
            id: str | None = answer.decision_id
            while id is not None:
                decision, end = store.decision(id), store.call(id)
                assert end is not None
                calls.append((decision, end))
                id = decision.parent
    finally:
        store.close()
    return calls


def _make_table(calls: Sequence[tuple[Decision, CallEnd]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("arm")
    for heading in ("calls", "failed", "fallbacks", "median first token", "USD"):
        table.add_column(heading, justify="right")
    for arm in _QUALITY:
        table.add_row(arm, *_cells([call for call in calls if call[0].arm == arm]))
    return table


def _cells(calls: Sequence[tuple[Decision, CallEnd]]) -> list[str]:
    failed = sum(end.outcome is CallOutcome.FAILED for _, end in calls)
    fallbacks = sum(decision.reason is Reason.FALLBACK for decision, _ in calls)
    times_s = [end.ttft_s for _, end in calls if end.ttft_s is not None]
    first = f"{1000 * median(times_s):.0f} ms" if times_s else "–"
    cost_usd = sum(end.cost_usd for _, end in calls)
    return [str(len(calls)), str(failed), str(fallbacks), first, f"{cost_usd:.6f}"]
