"""Training examples: from a dataset in which every model answered every query, or from a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.block import REWARD, Block, BlockSource
from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.training.logistic import Labelled
from bandit_router.types import FloatArray

LOW_QUALITY = 0.5
"""A query is complex when the cheap model's quality is below this."""

MOST_ROWS = 100_000
"""The newest rows of a log that are read, so that a log larger than memory can be trained on."""

LEAST_OF_EACH = 20
"""The fewest labels of each kind that can be cross-validated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPair:
    """The cheap and the expensive model that a classifier decides between."""

    cheap: str
    expensive: str

    def __post_init__(self) -> None:
        if self.cheap == self.expensive:
            raise InvalidInput("expensive", f"is {self.cheap!r} too", "name another model than the cheap one")

    def columns(self, arms: Sequence[str]) -> list[int]:
        """The positions of both models among the arms. Raises InvalidInput, which lists the arms."""
        for name, arm in (("cheap", self.cheap), ("expensive", self.expensive)):
            if arm not in arms:
                raise InvalidInput(name, f"{arm!r} is not an arm", f"use one of {', '.join(arms)}")
        return [arms.index(self.cheap), arms.index(self.expensive)]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingExamples:
    """n training queries; column 0 is the cheap model, column 1 the expensive one::

        x        (n, d) contexts
        quality  (n, 2) in [0, 1], where the weight is above 0
        weight   (n, 2) the weight of the row in a mean over all queries: 1 where both models answered; in
                 a log, 1 / propensity for the action and 0 for the other model
        cost_usd (n, 2) of a call

    A query is complex when the cheap model's quality is below ``low``. ``left_out`` counts the rows that
    could not be used, by reason.
    """

    pair: ModelPair
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
        answered = self.weight[:, 0] > 0
        bad = int(np.count_nonzero(self.labelled.complex & answered))
        if min(bad, int(answered.sum()) - bad) < LEAST_OF_EACH:
            raise InvalidInput(
                "low",
                f"of {self.low:g} makes {bad} of the {answered.sum()} answers of {self.pair.cheap} bad ones",
                f"give another, or more data: at least {LEAST_OF_EACH} must be bad, and as many good",
            )

    @property
    def labelled(self) -> Labelled:
        """The contexts with their labels, weighted as the cheap model's answers."""
        return Labelled(self.x, self.quality[:, 0] < self.low, self.weight[:, 0])


def examples_of_dataset(
    dataset: Dataset, x: FloatArray, pair: ModelPair, *, schema_id: str, low: float = LOW_QUALITY
) -> TrainingExamples:
    """Training examples of every query of a dataset, with contexts x (n, d). Raises InvalidInput."""
    columns = pair.columns(dataset.models)
    quality = dataset.quality[:, columns]
    both = ~np.isnan(quality).any(axis=1)  # both, since the two are compared on the same queries
    return TrainingExamples(
        pair=pair,
        schema_id=schema_id,
        source=f"{dataset.name}: {both.sum()} queries",
        low=low,
        x=x[both],
        quality=quality[both],
        weight=np.ones((both.sum(), 2)),
        cost_usd=dataset.cost_usd[:, columns][both],
        left_out={"not answered by both models": int((~both).sum())} if not both.all() else {},
    )


def examples_of_log(
    pieces: Sequence[BlockSource],
    arms: Sequence[str],
    pair: ModelPair,
    *,
    schema_id: str,
    source: str,
    low: float = LOW_QUALITY,
    most: int = MOST_ROWS,
) -> TrainingExamples:
    """Training examples of the newest ``most`` rows of a log in which both models had a chance.

    The quality of a row is its reward, the cost of a model its expected cost. Each answer is weighted by
    1 / propensity, as in IPS, since the logging policy chose who answers.
    Raises InvalidInput.
    """
    columns = pair.columns(arms)
    blocks: list[Block] = []
    rows = 0
    for piece in reversed(pieces):
        if rows >= most:
            break
        blocks.append(piece.read())
        rows += len(blocks[-1])
    if not blocks:
        raise InvalidInput("log", "has no rows", "log decisions whose reason is 'policy'")
    usable = [_usable_rows(block, columns) for block in reversed(blocks)]
    x, quality, weight, cost = (np.concatenate(arrays)[-most:] for arrays in zip(*usable, strict=True))
    return TrainingExamples(
        pair=pair,
        schema_id=schema_id,
        source=f"{source}: {len(x)} of {rows} rows",
        low=low,
        x=x,
        quality=quality,
        weight=weight,
        cost_usd=cost,
        left_out={
            f"could not go to {pair.cheap} as well as {pair.expensive}": rows
            - sum(len(x) for x, *_ in usable)
        },
    )


def _usable_rows(block: Block, columns: list[int]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """x, quality, weight and cost of the rows of a block where both models had a chance."""
    rows = np.flatnonzero((block.logged[:, columns] > 0.0).all(axis=1))
    reward, weight = block.outcomes[rows, REWARD], block.reward_weights()[rows] / block.propensity[rows]
    acted = (block.action[rows, None] == columns) & ~np.isnan(reward)[:, None]
    return (
        block.x[rows],
        np.where(acted, reward[:, None], 0.0),
        np.where(acted, weight[:, None], 0.0),
        block.expected_cost_usd[rows][:, columns],
    )
