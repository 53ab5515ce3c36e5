"""A documentation chatbot: what routing saves, by the router's own accounts, and what mistakes cost.

    python -m simulations.docs_chatbot

A month has 100,000 queries. 70% are simple, and a small model answers them for $0.0003; 30% are complex and
need a large one, at $0.003. Asking the large one always costs $300, asking the right one $111. Each way is
played through a real router on a database of its own, which is told the cost of every call; what is shown is
added up from its log. A heuristic whose keywords never err comes to the $111. One that misreads 12% of
the queries, simple ones as complex and the other way round, shows what its mistakes cost in money and
in answers. Then the same two models' bill on real queries, where nobody says which are simple and a router
has to learn it: ``--stream``, with feedback on its own choices only.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.errors import RouterError
from bandit_router.evaluation.parallel import workers
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan, simulate
from bandit_router.router import Router
from bandit_router.settings import Settings, make_settings
from bandit_router.store.store import Store
from bandit_router.store.write_requests import Committed, WriteRequest
from bandit_router.types import Decision
from simulations import show
from simulations.hand_written import NAMES, cheap_and_strong
from simulations.streams import STREAMS, cost_weight, stream_of

SIMPLE_SHARE, MISREAD = 0.7, 0.12
COST_USD: Mapping[str, float] = {"small": 0.0003, "large": 0.003}
_TOKENS = 300  # of an answer; the prices below make it cost what COST_USD says
_BATCH = 500
_SMALL, _LARGE = (
    {
        "name": name,
        "input_usd_per_mtok": 0.0,
        "output_usd_per_mtok": usd * 1e6 / _TOKENS,
        "expected_output_tokens": _TOKENS,
    }
    for name, usd in COST_USD.items()
)
_HEURISTIC = {"name": "heuristic", "cheap": "small", "expensive": "large", "epsilon": 0.0}
_RULES = [{"name": "asks-why", "weight": 1.0, "keywords": ["explain", "debug", "design"]}]


class Query(NamedTuple):
    """A question, and whether it takes the large model to answer it."""

    text: str
    is_complex: bool


class Bill(NamedTuple):
    """The bill of a month from a router's log: calls, their USD, and good answers."""

    calls: int
    cost_usd: float
    good: int


def make_questions(n: int, misread: float, rng: np.random.Generator) -> list[Query]:
    """n queries, 70% of them simple; a share ``misread`` of either kind is worded like the other."""
    is_complex = np.arange(n) >= round(SIMPLE_SHARE * n)
    wrong = np.zeros(n, dtype=np.bool_)
    for kind in (False, True):
        rows = np.flatnonzero(is_complex == kind)
        wrong[rows[: round(misread * len(rows))]] = True
    worded = is_complex != wrong
    return [_question(i, bool(is_complex[i]), bool(worded[i])) for i in rng.permutation(n).tolist()]


def _question(i: int, is_complex: bool, worded_complex: bool) -> Query:
    text = f"Explain how to design step {i}" if worded_complex else f"Where is setting {i} documented?"
    return Query(text, is_complex)


def settings_of(policy: Mapping[str, Any], folder: Path) -> Settings:
    """A router of the two models with a database in the folder."""
    return make_settings(
        {
            "arms": [_SMALL, _LARGE],
            "policy": policy,
            "rules": _RULES,
            "features": {"embedding": "none"},
            "store": {"url": f"sqlite:///{folder}/month.db"},
            "learner": {"interval_s": 3600.0},
        }
    )


def play_month(policy: Mapping[str, Any], queries: Sequence[Query]) -> Bill:
    """Route every query, report what its call cost and whether the answer was good, and read the bill."""
    with tempfile.TemporaryDirectory(prefix="docs-chatbot-") as scratch:
        settings = settings_of(policy, Path(scratch))
        with Router.open(settings, rng=np.random.default_rng(0)) as router:
            for start in range(0, len(queries), _BATCH):
                _serve(router, queries[start : start + _BATCH])
        return read_bill(settings)


def _serve(router: Router, queries: Sequence[Query]) -> None:
    decided = _commit(router, (router._begin(query.text, {}) for query in queries))
    puts = []
    for query, decision in zip(queries, decided, strict=True):
        assert isinstance(decision, Decision)
        quality = float(decision.arm == "large" or not query.is_complex)
        metrics = {"cost_usd": COST_USD[decision.arm], "quality": quality}
        puts.append(router._begin_feedback(decision.id, metrics))
    _commit(router, iter(puts))


def _commit(router: Router, puts: Iterator[WriteRequest]) -> list[Committed]:
    """Commit many writes in few transactions, as a busy service does by itself."""
    waiting: list[Future[Committed | RouterError]] = []
    for put in puts:
        waiting.append(Future())
        router._submit(put, waiting[-1].set_result)
    answers = [future.result() for future in waiting]
    for answer in answers:
        if isinstance(answer, RouterError):
            raise answer
    return [answer for answer in answers if not isinstance(answer, RouterError)]


def read_bill(settings: Settings) -> Bill:
    """Add up the calls, costs and good answers of the log."""
    calls, cost, good = 0, 0.0, 0.0
    with (
        closing(Store.open(settings.store.url, settings.router.name, create=False)) as store,
        store.read_log() as audit,
    ):
        for rows in audit.log():
            for row in rows:
                metrics = getattr(row, "metrics", {})
                calls, cost, good = calls + 1, cost + metrics["cost_usd"], good + metrics["quality"]
    return Bill(calls, cost, int(good))


def play_months(n: int) -> dict[str, Bill]:
    """Play the month each way: the bill of each."""
    rng = np.random.default_rng(0)
    plain, misread = make_questions(n, 0.0, rng), make_questions(n, MISREAD, rng)
    return {
        "always the large model": play_month({"name": "fixed", "arm": "large"}, plain),
        "heuristic": play_month(_HEURISTIC, plain),
        f"heuristic that misreads {MISREAD:.0%}": play_month(_HEURISTIC, misread),
        "always the small model": play_month({"name": "fixed", "arm": "small"}, plain),
    }


def bills_grid(bills: Mapping[str, Bill]) -> Grid:
    """The table of the bills: cost and answers, beside always asking the large model."""
    first = next(iter(bills.values()))
    rows = [
        Row(
            cells=(
                name,
                f"{bill.calls:,}",
                f"{bill.cost_usd:,.2f}",
                f"{1.0 - bill.cost_usd / first.cost_usd:.0%}",
                f"{bill.good / bill.calls:.1%}",
            ),
            strong=name == "heuristic",
        )
        for name, bill in bills.items()
    ]
    return Grid(
        title="A documentation chatbot's month, from the router's log",
        headings=("", "calls", "USD", "saved", "answered well"),
        rows=tuple(rows),
    )


def real_queries_grid(name: str, plan: Plan, models: tuple[str, str], jobs: int) -> Grid:
    """The same bill on real queries: the learned router beside either model, and their mix at its cost."""
    spec = "tempered"
    with workers(jobs):
        simulation = simulate(plan, {spec: RouterMaker(spec)})
    shown = {
        f"always {models[1]}": f"fixed:{NAMES[1]}",
        "learned router": spec,
        "the two at random, at its cost": f"blind mix at the cost of {spec}",
        f"always {models[0]}": f"fixed:{NAMES[0]}",
    }
    whole = simulation.named(f"fixed:{NAMES[1]}").values("cost_usd").mean()
    rows = []
    for title, contender in shown.items():
        result = simulation.named(contender)
        cost, quality = result.values("cost_usd").mean(), result.values("quality").mean()
        cells = (title, f"{100_000 * cost:,.2f}", f"{1.0 - cost / whole:.0%}", f"{quality:.1%}")
        rows.append(Row(cells=cells, strong=contender == spec))
    return Grid(
        title=f"The same on real queries: {name}, {simulation.seeds} × {simulation.queries:,}, cold, "
        "per 100,000 calls",
        headings=("", "USD", "saved", "quality"),
        rows=tuple(rows),
        notes=("the router starts knowing nothing and hears only of the model it chose",),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--month", type=int, default=100_000, help="queries of the month")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the files")
    parser.add_argument("--stream", choices=tuple(STREAMS), default="routellm", help="real queries")
    parser.add_argument("--queries", type=int, default=5000, help="length of the stream, at most")
    parser.add_argument("--seeds", type=int, default=20, help="random orders of the stream")
    parser.add_argument(
        "--trade", type=float, default=0.1, help="quality that the strong one's cost is worth"
    )
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is one for each core")
    options = parser.parse_args()
    console = Console()
    console.print(draw_grid(bills_grid(play_months(options.month))))
    data, models = cheap_and_strong(STREAMS[options.stream](options.data))
    stream = stream_of(data)
    plan = Plan(
        stream=stream,
        cost_weight=cost_weight(stream, options.trade),
        seeds=options.seeds,
        queries=options.queries,
    )
    console.print(draw_grid(real_queries_grid(options.stream, plan, models, options.jobs)))


if __name__ == "__main__":
    show.run(main)
