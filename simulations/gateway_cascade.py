"""What a cascade of the gateway learns, beside what it learns where nothing but its rule is simulated.

    python -m simulations.gateway_cascade --json gateway_cascade.json

The queries of :mod:`simulations.cascade`, in the same orders, go over HTTP to the whole application, with its
database. Scripted arms answer them: the cheap one with tokens of the probability that the model has stated,
each at its mean cost, as the simulation has it. The gateway holds each cheap answer, and passes it on or
retries it. Answers are then rated: all that were executed, or in the strict form only those that the client
has seen. The router learns each time that the ratings have grown by a twentieth, as the simulation does, and
draws the same random numbers.

The figure is that of :mod:`simulations.cascade`, by the calibrators that the router has published in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx2
import numpy as np
from rich.console import Console

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.datasets import load_dataset
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.gateway.gateway import Gateway, open_gateway
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.online import next_solve
from bandit_router.providers.scripted import Scene, ScriptedProvider, ScriptedRequest
from bandit_router.router import AsyncRouter, Router
from bandit_router.router.published_model import load_published_model
from bandit_router.server.app import assemble_app, create_api
from bandit_router.server.asgi_transport import AsgiTransport
from bandit_router.settings import Settings, make_settings
from bandit_router.store.store import Store
from bandit_router.types import Decision, IntArray, Reason, Usage
from simulations import show
from simulations.cascade import (
    CONTESTANTS,
    EXPENSIVE,
    Pair,
    Score,
    area_under_retries,
    load_pairs,
    rank_by_gain,
)
from simulations.streams import cost_weight

SIMULATED = {False: "calibrated, online", True: "calibrated, online, strict"}
"""The contestant of :mod:`simulations.cascade` that does the same, by whether it is the strict form."""

BAR = 0.01
"""How far the gateway may be from the simulation."""

_LEAST_PROBABILITY = 1e-12
_USD_PER_TOKEN = 1e-7
_HEAD = "x-bandit-decision"


class Questions(NamedTuple):
    """The queries of a pair, with their texts."""

    texts: tuple[str, ...]
    pair: Pair

    def take(self, rows: IntArray) -> Questions:
        return Questions(tuple(self.texts[i] for i in rows), self.pair.take(rows))


def load_questions(folder: Path) -> dict[str, Questions]:
    """The queries by the name of the cheap model. ConfigError when the file is missing."""
    texts = load_dataset(folder / "llm_confidence.parquet").queries
    return {cheap: Questions(texts, pair) for cheap, pair in load_pairs(folder).items()}


def learn_in_gateway(questions: Questions, weight: float, rng: np.random.Generator, *, strict: bool) -> Score:
    """Rank by the expected gain of a retry, learned by a gateway that answers these queries in order."""
    with TemporaryDirectory() as folder:
        settings = write_settings(Path(folder), questions.pair, weight)
        asyncio.run(play_queries(settings, questions, rng, strict=strict))
        with closing(Store.open(settings.store.url, settings.router.name, create=False)) as store:
            return rank_by_gain(read_calibrators(store), questions.pair.stream.arms)


def read_calibrators(store: Store) -> Posterior:
    """The calibrators that a router has published."""
    calibrators = load_published_model(store, cascades=True).state.calibrators
    assert calibrators is not None
    return calibrators


def write_settings(folder: Path, pair: Pair, weight: float) -> Settings:
    """Settings of a cascade between the two scripted models of a pair."""
    cheap, expensive = pair.stream.arms
    arms = [
        {
            "name": arm,
            "provider": "scripted",
            "input_usd_per_mtok": 0.0,
            "output_usd_per_mtok": _USD_PER_TOKEN * 1e6,
            "expected_output_tokens": _count_tokens(pair, k),
            "logprobs": True,
        }
        for k, arm in enumerate(pair.stream.arms)
    ]
    return make_settings(
        {
            "arms": arms,
            "router": {"cost_weight": weight},
            "policy": {"name": "cascade", "cheap": cheap, "expensive": expensive},
            "cascade": {"enabled": True, "confidence": "token_probability"},
            "learner": {"interval_s": 3600.0},
            "store": {"url": f"sqlite:///{folder / 'router.db'}"},
        }
    )


def play_model(pair: Pair, arm: int, request: ScriptedRequest) -> Scene:
    """The answer of a model to the query of the row that the request names, as sure as it was."""
    row = int(request.fields()["metadata"]["row"])
    sure = float(pair.confidence[row]) if arm == 0 else 1.0
    return Scene(
        pieces=("An", " answer."),
        token_probability=max(sure, _LEAST_PROBABILITY),
        usage=Usage(input_tokens=1, output_tokens=_count_tokens(pair, arm)),
    )


def _count_tokens(pair: Pair, arm: int) -> int:
    """The tokens that cost as much as a call of the arm does on average."""
    return round(float(pair.stream.expected_cost_usd[0, arm]) / _USD_PER_TOKEN)


async def play_queries(
    settings: Settings, questions: Questions, rng: np.random.Generator, *, strict: bool
) -> None:
    """Send the queries to a gateway with these settings, one after the other, rate its answers, and learn."""
    pair, rated, due = questions.pair, 0, 1.0
    router = AsyncRouter(Router.open(settings, rng=rng))
    async with router, open_gateway(router) as gateway, _open_client(settings, router, gateway) as client:
        await _cast_models(gateway, pair)
        for row, text in enumerate(questions.texts):
            answer = await _ask(client, router, row, text)
            for decision_id, quality in _list_ratings(answer, pair, row, strict=strict):
                rating = {"decision_id": decision_id, "metrics": {"quality": quality}}
                (await client.post("/v1/feedback", json=rating)).raise_for_status()
                rated += not _is_direct(answer, pair)
            if rated >= due:
                await router.learn()
                due = next_solve(rated)
        await router.learn()


async def _ask(client: httpx2.AsyncClient, router: AsyncRouter, row: int, text: str) -> Decision:
    """The decision whose answer the client gets."""
    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": text}],
        "metadata": {"row": str(row)},
    }
    reply = await client.post("/v1/chat/completions", json=body)
    return await router.decision(reply.raise_for_status().headers[_HEAD])


def _list_ratings(decision: Decision, pair: Pair, row: int, *, strict: bool) -> list[tuple[str, float]]:
    """The decisions whose answers are rated, each with the quality of its answer."""
    arms, quality = pair.stream.arms, pair.stream.quality[row].tolist()
    ratings = [(decision.id, quality[arms.index(decision.arm)])]
    if decision.reason is Reason.ESCALATION and not strict:
        assert decision.parent is not None
        ratings.append((decision.parent, quality[0]))
    return ratings


def _is_direct(decision: Decision, pair: Pair) -> bool:
    """Whether a query went to the expensive model at once: nobody has said how sure it is."""
    return decision.reason is not Reason.ESCALATION and decision.arm == pair.stream.arms[1]


@asynccontextmanager
async def _open_client(
    settings: Settings, router: AsyncRouter, gateway: Gateway
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application, with this router and this gateway."""
    api = create_api(settings)
    api.state.router, api.state.gateway = router, gateway
    transport = AsgiTransport(assemble_app(api))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway", timeout=None) as client:
        yield client


async def _cast_models(gateway: Gateway, pair: Pair) -> None:
    """Have the arms answer what the models of the data have answered."""
    await gateway.pool.open()
    for k, section in enumerate(gateway.router.settings.arms):
        provider = ScriptedProvider(section, partial(play_model, pair, k))
        gateway.pool.arms[section.name] = replace(gateway.pool.arms[section.name], provider=provider)


# -- the figure -----------------------------------------------------------------------------------


class Areas(NamedTuple):
    """The area of one seed, by the gateway and by the simulation."""

    gateway: float
    simulated: float


def judge_seed(questions: Questions, weight: float, learn: int, strict: bool, seed: int) -> Areas:
    """Learn on the first queries of an order, in both ways, and judge on the rest."""
    order = np.random.default_rng(seed).permutation(len(questions.texts))
    training, test = questions.take(order[:learn]), questions.pair.take(order[learn:])
    name = SIMULATED[strict]
    own_seed = [seed, list(CONTESTANTS).index(name)]
    scores = (
        learn_in_gateway(training, weight, np.random.default_rng(own_seed), strict=strict),
        CONTESTANTS[name](training.pair, weight, np.random.default_rng(own_seed)),
    )
    return Areas(*(float(area_under_retries(score(test), test.gain)[0]) for score in scores))


def compare_areas(areas: Mapping[tuple[str, bool], list[Areas]], learn: int) -> tuple[Grid, list[str]]:
    """The table, and the bars that are missed."""
    rows, missed = [], []
    for (cheap, strict), by_seed in areas.items():
        gateway, simulated = np.transpose(by_seed)
        difference, case = gateway - simulated, f"{cheap}, {SIMULATED[strict]}"
        error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else float("nan")
        cells = (
            case,
            f"{gateway.mean():.4f}",
            f"{simulated.mean():.4f}",
            f"{difference.mean():+.4f} ± {error:.4f}",
        )
        rows.append(Row(cells=cells))
        if abs(difference.mean()) > BAR:
            missed.append(f"{case}: {difference.mean():+.4f} from the simulation, allowed is {BAR}")
    grid = Grid(
        title=f"area under share retried, after {learn:,} queries; {len(next(iter(areas.values())))} orders",
        headings=("", "gateway", "simulation", "difference"),
        rows=tuple(rows),
        notes=("difference: ± its standard error over orders",),
    )
    return grid, missed


def main() -> None:
    parser = show.parser(__doc__, streams=())
    parser.add_argument(
        "--learn", type=int, default=1500, help="queries learned from; the rest are for judging"
    )
    options = parser.parse_args()
    tasks = {}
    for cheap, questions in load_questions(options.data).items():
        if not 0 < options.learn < len(questions.texts):
            raise InvalidInput(
                "learn", f"is {options.learn}", f"give 1 to {len(questions.texts) - 1} queries"
            )
        weight = cost_weight(questions.pair.stream, options.trade)
        for strict in SIMULATED:
            tasks[cheap, strict] = partial(judge_seed, questions, weight, options.learn, strict)
    areas = show.on_every_seed(tasks, options.seeds, options.jobs, f"cheap first, then {EXPENSIVE}")
    grid, missed = compare_areas(areas, options.learn)
    console = Console(width=120)
    console.print(draw_grid(grid))
    show.say_missed(console, missed)
    facts = {
        f"{cheap}, {SIMULATED[strict]}": [one._asdict() for one in by_seed]
        for (cheap, strict), by_seed in areas.items()
    }
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
