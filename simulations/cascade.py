"""Which answers to retry: ranked by stated confidence, by calibrated confidence, or by the query alone.

    python -m simulations.cascade --json cascade.json

A cheap model answers every query of llm_confidence and says how sure it is; some queries are retried on
gpt-4o. Each contestant ranks the queries by how much a retry is worth. Retrying the first share s of them
gives a curve of quality against s, from the cheap model's to the expensive one's, and the figure is the area
under it between the two: 0.5 for a random order (RouteLLM, Ong et al., 2024, calls it APGR).

Each seed shuffles the queries, learns on the first ``--learn`` and is judged on the rest, without learning
from them. *Full information*: every outcome of both models is known. *Online*: only the outcome of an
answer that was executed, as a live cascade would hear it: its own rule decides what is retried while it
learns. In the strict form the outcome of an answer that a retry replaced is unknown, too. The text-only
router has no confidence; online it sends every query to one of the two models at random, which teaches it
most: it learns less from what its default policy would choose.

Intervals are for the sample of queries: bootstrapped over those that each seed is judged on, averaged over
seeds. An answer without a stated confidence counts as one of confidence 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console

from bandit_router.cascade.escalation import score_keep_and_retry
from bandit_router.cascade.escalation_rule import EscalationRule
from bandit_router.errors import InvalidInput
from bandit_router.evaluation.datasets import load_dataset
from bandit_router.evaluation.parallel import workers
from bandit_router.evaluation.report.formatting import format_interval, shorten
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.channel import Channel
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.stream import Stream, make_stream
from bandit_router.policies import sample
from bandit_router.policies.cheap_first import CheapFirst
from bandit_router.posterior.arm_priors import make_hyperprior, make_level_prior
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.confidence import append_confidence, empty_calibrators
from bandit_router.posterior.online import next_solve
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.settings.learning import PosteriorSection
from bandit_router.types import FloatArray, IntArray
from simulations import show
from simulations.streams import cost_weight, stream_of

EXPENSIVE = "gpt-4o"
CHEAP = ("Meta-Llama-3.1-8B-Instruct", "claude-3-haiku-20240307")
_DRAWS = 1000
_LEVEL = 95
_SHARES = (0.2, 0.5)
RAW = "raw confidence"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """n queries that a cheap and an expensive model answered; ``confidence`` (n,) is in the cheap answers."""

    stream: Stream
    confidence: FloatArray

    @property
    def gain(self) -> FloatArray:
        """What a retry adds to the quality of each query (n,)."""
        gain: FloatArray = self.stream.quality[:, 1] - self.stream.quality[:, 0]
        return gain

    def take(self, rows: IntArray) -> Pair:
        return Pair(stream=self.stream.take(rows), confidence=self.confidence[rows])


Score = Callable[[Pair], FloatArray]
"""The value of a retry by query, (n,): the largest are retried first."""

Contestant = Callable[[Pair, float, np.random.Generator], Score]
"""Learns from queries in their order, at a cost weight in 1/USD."""


def load_pairs(folder: Path) -> dict[str, Pair]:
    """The pairs by the name of the cheap model. ConfigError when the file is missing."""
    data = load_dataset(folder / "llm_confidence.parquet")
    stream, confidence = stream_of(data), data.confidence
    assert confidence is not None
    x, pairs = stream.x, {}
    for cheap in CHEAP:
        both = data.only((cheap, EXPENSIVE))
        stated = np.nan_to_num(confidence[:, data.models.index(cheap)], nan=0.0)
        pairs[cheap] = Pair(stream=make_stream(both, x), confidence=stated)
    return pairs


# -- the contestants ------------------------------------------------------------------------------


def rank_by_raw_confidence(pair: Pair, weight: float, rng: np.random.Generator) -> Score:
    """Retry the least confident first, as any threshold does."""
    del pair, weight, rng
    return lambda rest: -rest.confidence


def learn_text_with_all(pair: Pair, weight: float, rng: np.random.Generator) -> Score:
    """Rank by the difference in expected quality given the query, learned from all outcomes."""
    del weight, rng
    rewards = make_rewards(pair.stream)
    _observe_all(rewards, pair.stream, pair.stream.x)
    posterior = rewards.solve()
    return lambda rest: _difference(posterior, rest.stream.arms, rest.stream.x)


def learn_text_online(pair: Pair, weight: float, rng: np.random.Generator) -> Score:
    """Rank by that difference, learned by a router that draws one of the two models for each query."""
    agent = RouterMaker("uniform")(Setting.of(pair.stream, weight, rng))
    play_stream(pair.stream, agent, Channel(), rng)
    posterior = agent.state.rewards.solve()
    return lambda rest: _difference(posterior, rest.stream.arms, rest.stream.x)


def learn_cascade_with_all(pair: Pair, weight: float, rng: np.random.Generator) -> Score:
    """Rank by the difference in expected quality given query and confidence, learned from all outcomes."""
    del weight, rng
    calibrators = empty_calibrators(make_rewards(pair.stream))
    _observe_all(calibrators, pair.stream, _contexts(pair))
    return rank_by_gain(calibrators.solve(), pair.stream.arms)


def learn_cascade_online(pair: Pair, weight: float, rng: np.random.Generator) -> Score:
    """Rank by that difference, learned by a cascade from the outcomes of all executed answers."""
    return _play_cascade(pair, weight, rng, strict=False)


def learn_cascade_strict(pair: Pair, weight: float, rng: np.random.Generator) -> Score:
    """Rank by that difference, learned by a cascade from accepted answers and retries only."""
    return _play_cascade(pair, weight, rng, strict=True)


CONTESTANTS: Mapping[str, Contestant] = {
    RAW: rank_by_raw_confidence,
    "text only, online": learn_text_online,
    "calibrated, online": learn_cascade_online,
    "calibrated, online, strict": learn_cascade_strict,
    "text only, full information": learn_text_with_all,
    "calibrated, full information": learn_cascade_with_all,
}


def _play_cascade(pair: Pair, weight: float, rng: np.random.Generator, *, strict: bool) -> Score:
    """Play a live cascade, with its policy and its rule; feedback is known before the next query."""
    stream, z = pair.stream, _contexts(pair)
    calibrators = empty_calibrators(make_rewards(stream))
    cheap, expensive = stream.arms
    first, rule = CheapFirst(cheap=cheap, expensive=expensive), EscalationRule(expensive=expensive)
    published, learned, due = calibrators.solve(), 0, 1.0
    for t in range(len(stream)):
        if sample([1.0 - first.epsilon / 2, first.epsilon / 2], rng):
            continue  # it goes to the expensive model at once: no confidence to learn by
        cost = float(stream.expected_cost_usd[t, 1])
        scores = score_keep_and_retry(
            published, (cheap, expensive), stream.x[t], pair.confidence[t], cost, weight
        )
        last = sample(rule.pmf(scores, pair.confidence[t]), rng)
        for k in (last,) if strict else range(last + 1):
            calibrators.observe(stream.arms[k], z[t], float(stream.quality[t, k]))
            learned += 1
        if learned >= due:
            published, due = calibrators.solve(), next_solve(learned)
    return rank_by_gain(calibrators.solve(), stream.arms)


def make_rewards(stream: Stream) -> SufficientStatistics:
    """What a router expects of the arms of a stream by default, without evidence."""
    section = PosteriorSection()
    return SufficientStatistics.empty(
        dict.fromkeys(stream.arms, make_level_prior(section, stream.x.shape[1])),
        schema_id="simulation",
        noise_variance=section.noise_std**2,
        hyperprior=make_hyperprior(section),
    )


def _observe_all(statistics: SufficientStatistics, stream: Stream, contexts: FloatArray) -> None:
    for k, arm in enumerate(stream.arms):
        statistics.observe_many(arm, contexts, stream.quality[:, k], np.zeros(len(stream)))


def _contexts(pair: Pair) -> FloatArray:
    return np.array(
        [append_confidence(x, c) for x, c in zip(pair.stream.x, pair.confidence.tolist(), strict=True)]
    )


def rank_by_gain(calibrators: Posterior, arms: tuple[str, ...]) -> Score:
    """Rank by the difference in expected quality given query and confidence; arms: cheap, expensive."""
    return lambda rest: _difference(calibrators, arms, _contexts(rest))


def _difference(posterior: Posterior, arms: tuple[str, ...], contexts: FloatArray) -> FloatArray:
    cheap, expensive = map(posterior.index, arms)
    mean, _ = posterior.predict_many(contexts)
    difference: FloatArray = mean[:, expensive] - mean[:, cheap]
    return difference


# -- the figure -----------------------------------------------------------------------------------


def area_under_retries(score: FloatArray, gain: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """∫ (q(s) − q(0)) / (q(1) − q(0)) ds, retrying the largest scores first, ties all at once (B,).

    ``weights`` (B, n) say how often each query counts; once, without. With groups g of equal score, their
    weights w_g and cumulative gains C_g, it is Σ_g w_g (C_{g−1} + C_g)/2 / (W · C).
    """
    weights = np.ones((1, len(score))) if weights is None else weights
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.inf))
    group = np.add.reduceat(weights[:, order], starts, axis=1)
    gains = np.add.reduceat((weights * gain)[:, order], starts, axis=1)
    cumulative = gains.cumsum(axis=1)
    inside = (group * (cumulative - gains / 2.0)).sum(axis=1)
    areas: FloatArray = inside / (group.sum(axis=1) * cumulative[:, -1])
    return areas


def quality_with_retries(score: FloatArray, quality: FloatArray, share: float) -> float:
    """Mean quality when the queries of the largest scores, a share of all, are retried; quality (n, 2)."""
    order = np.argsort(-score, kind="stable")
    retried = order[: round(share * len(order))]
    kept: FloatArray = quality[:, 0].copy()
    kept[retried] = quality[retried, 1]
    return float(kept.mean())


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One contestant over S seeds: its area, bootstrap samples behind it, averaged over seeds (1 + B,), that
    of each seed (S,), and the mean quality at a few shares retried."""

    areas: FloatArray
    by_seed: FloatArray
    quality: FloatArray


def judge_seed(pair: Pair, seed: int, learn: int, weight: float, counts: FloatArray) -> dict[str, Any]:
    """By contestant: areas, one for each row of counts (1 + B, n), and qualities at a few shares."""
    order = np.random.default_rng(seed).permutation(len(pair.stream))
    training, test = pair.take(order[:learn]), pair.take(order[learn:])
    judged = {}
    for i, (name, contestant) in enumerate(CONTESTANTS.items()):
        score = contestant(training, weight, np.random.default_rng([seed, i]))(test)
        at = [quality_with_retries(score, test.stream.quality, share) for share in _SHARES]
        judged[name] = area_under_retries(score, test.gain, counts[:, order[learn:]]), at
    return judged


def judge_contestants(pair: Pair, seeds: int, learn: int, weight: float) -> dict[str, Judged]:
    """Every contestant on every seed. The bootstrap draws queries, the same ones for all seeds."""
    n = len(pair.stream)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1.0 / n), size=_DRAWS)
    counts = np.vstack([np.ones(n), drawn])
    runs = Parallel()(delayed(judge_seed)(pair, seed, learn, weight, counts) for seed in range(seeds))
    return {
        name: Judged(
            areas=np.mean([run[name][0] for run in runs], axis=0),
            by_seed=np.array([run[name][0][0] for run in runs]),
            quality=np.mean([run[name][1] for run in runs], axis=0),
        )
        for name in CONTESTANTS
    }


def cascade_grid(cheap: str, pair: Pair, judged: Mapping[str, Judged], learn: int) -> Grid:
    """The table of one pair of models."""
    low, high = pair.stream.quality.mean(axis=0)
    seeds = len(judged[RAW].by_seed)
    return Grid(
        title=f"{shorten(cheap)} ({low:.3f}) → {EXPENSIVE} ({high:.3f}): learned on {learn:,} of "
        f"{len(pair.stream):,} queries, judged on the rest; {seeds} seeds",
        headings=(
            "",
            "area",
            "− raw",
            "beats raw",
            "− text only",
            *(f"q at {share:.0%}" for share in _SHARES),
        ),
        rows=tuple(
            Row(
                cells=(
                    name,
                    _interval(result.areas),
                    _interval(result.areas - judged[RAW].areas),
                    f"{(result.by_seed > judged[RAW].by_seed).sum()}/{seeds}",
                    _interval(result.areas - judged[_text_only_peer(name)].areas),
                    *(f"{value:.3f}" for value in result.quality),
                ),
                strong=name.startswith("calibrated"),
            )
            for name, result in judged.items()
        ),
        notes=(
            f"area under share retried against quality, 0.5 = random order [{_LEVEL}% bootstrap of queries]",
            "beats raw: in so many seeds; q: quality when that share is retried",
            "− text only: online beside online, full information beside full information",
        ),
    )


def _text_only_peer(name: str) -> str:
    return "text only, full information" if "full" in name else "text only, online"


def _bounds(areas: FloatArray) -> tuple[float, float]:
    low, high = np.percentile(areas[1:], [(100 - _LEVEL) / 2, (100 + _LEVEL) / 2])
    return float(low), float(high)


def _interval(areas: FloatArray) -> str:
    return format_interval(float(areas[0]), *_bounds(areas), 3)


def main() -> None:
    parser = show.parser(__doc__, streams=())
    parser.add_argument(
        "--learn", type=int, default=1500, help="queries learned from; the rest are for judging"
    )
    options = parser.parse_args()
    console, facts = Console(width=150), dict[str, Any]()
    for cheap, pair in load_pairs(options.data).items():
        if not 0 < options.learn < len(pair.stream):
            raise InvalidInput("learn", f"is {options.learn}", f"give 1 to {len(pair.stream) - 1} queries")
        with workers(options.jobs):
            judged = judge_contestants(
                pair, options.seeds, options.learn, cost_weight(pair.stream, options.trade)
            )
        console.print(draw_grid(cascade_grid(cheap, pair, judged, options.learn)))
        facts[cheap] = {
            name: {
                "areas": result.by_seed.tolist(),
                "interval": list(_bounds(result.areas)),
                "minus_raw": list(_bounds(result.areas - judged[RAW].areas)),
                "minus_text_only": list(_bounds(result.areas - judged[_text_only_peer(name)].areas)),
                "quality_at": dict(zip(map(str, _SHARES), result.quality.tolist(), strict=True)),
            }
            for name, result in judged.items()
        }
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
