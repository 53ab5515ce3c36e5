"""Examples to train on: from data where every model answered every query, or from a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import OUTCOMES, Block, BlockSource
from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.training.logistic import Labelled
from bandit_router.types import FloatArray

LOW = 0.5
"""A query is complex when the cheap model's quality is below this."""

MOST_ROWS = 100_000
"""Of a log, the newest so many rows are read, so that one larger than memory can be trained on."""

LEAST_OF_EACH = 20
"""Labels of each kind without which nothing can be cross-validated."""

_REWARD = OUTCOMES.index("reward")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The arms to decide between."""

    cheap: str
    expensive: str

    def __post_init__(self) -> None:
        if self.cheap == self.expensive:
            raise InvalidInput("expensive", f"is {self.cheap!r} too", "name another model than the cheap one")

    def columns(self, arms: Sequence[str]) -> list[int]:
        """Where they are among the arms. InvalidInput names those there are."""
        for name, arm in (("cheap", self.cheap), ("expensive", self.expensive)):
            if arm not in arms:
                raise InvalidInput(name, f"{arm!r} is not an arm", f"use one of {', '.join(arms)}")
        return [arms.index(self.cheap), arms.index(self.expensive)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """n queries. Of the cheap model (column 0) and the expensive one (column 1)::

        x        (n, d) contexts
        quality  (n, 2) in [0, 1], where the weight is above 0
        weight   (n, 2) what the row counts in a mean over all queries: 1 where both models answered; in a
                 log, 1 / propensity for the action and 0 for the other
        cost_usd (n, 2) of a call

    A query is complex when the cheap model's quality is below ``low``. ``left_out`` counts rows that could
    not be used, by why.
    """

    pair: Pair
    schema_id: str
    source: str
    low: float
    x: FloatArray
    quality: FloatArray
    weight: FloatArray
    cost_usd: FloatArray
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 < self.low <= 1.0:
            raise InvalidInput("low", f"is {self.low:g}", "give a number in (0, 1]")
        known = self.weight[:, 0] > 0
        some = int(np.count_nonzero(self.labelled.complex & known))
        if min(some, int(known.sum()) - some) < LEAST_OF_EACH:
            raise InvalidInput(
                "low",
                f"of {self.low:g} makes {some} of the {known.sum()} answers of {self.pair.cheap} bad ones",
                f"give another, or more data: at least {LEAST_OF_EACH} must be bad, and as many good",
            )

    @property
    def labelled(self) -> Labelled:
        """The contexts with their labels; a row counts as often as the cheap model's answer stands for."""
        return Labelled(self.x, self.quality[:, 0] < self.low, self.weight[:, 0])


def examples_of_dataset(
    dataset: Dataset, x: FloatArray, pair: Pair, *, schema_id: str, low: float = LOW
) -> Examples:
    """Every query of the data, with its context in x (n, d). Raises InvalidInput."""
    columns = pair.columns(dataset.models)
    return Examples(
        pair=pair,
        schema_id=schema_id,
        source=f"{dataset.name}: {len(x)} queries",
        low=low,
        x=x,
        quality=dataset.quality[:, columns],
        weight=np.ones((len(x), 2)),
        cost_usd=dataset.cost_usd[:, columns],
    )


def examples_of_log(
    pieces: Sequence[BlockSource],
    arms: Sequence[str],
    pair: Pair,
    *,
    schema_id: str,
    source: str,
    low: float = LOW,
    most: int = MOST_ROWS,
) -> Examples:
    """The newest ``most`` rows of a log in which either model could have been the action.

    The quality of a row is its reward, and the cost of a model what it was expected to be. The log's policy
    chose who answers, so what it rarely chose counts more: each answer by 1 / propensity, as in IPS.
    Raises InvalidInput.
    """
    columns = pair.columns(arms)
    taken: list[Block] = []
    rows = 0
    for piece in reversed(pieces):
        if rows >= most:
            break
        taken.append(piece.read())
        rows += len(taken[-1])
    if not taken:
        raise InvalidInput("log", "has no rows", "log decisions whose reason is 'policy'")
    parts = [_part(block, columns) for block in reversed(taken)]
    x, quality, weight, cost = (np.concatenate(some)[-most:] for some in zip(*parts, strict=True))
    return Examples(
        pair=pair,
        schema_id=schema_id,
        source=f"{source}: {len(x)} of {rows} rows",
        low=low,
        x=x,
        quality=quality,
        weight=weight,
        cost_usd=cost,
        left_out={
            f"could not go to {pair.cheap} as well as {pair.expensive}": rows - sum(len(p[0]) for p in parts)
        },
    )


def _part(block: Block, columns: list[int]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """x, quality, weight and cost of the rows where both models had a chance."""
    rows = np.flatnonzero((block.logged[:, columns] > 0.0).all(axis=1))
    reward, propensity = block.outcomes[rows, _REWARD], block.propensity[rows]
    acted = (block.action[rows, None] == columns) & ~np.isnan(reward)[:, None]
    return (
        block.x[rows],
        np.where(acted, reward[:, None], 0.0),
        np.where(acted, 1.0 / propensity[:, None], 0.0),
        block.expected_cost_usd[rows][:, columns],
    )
