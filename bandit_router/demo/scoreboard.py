"""The demo's scoreboard: the router beside every fixed model and a uniform choice, on the same queries."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from rich import box
from rich.table import Table

from bandit_router.evaluation.datasets import Dataset
from bandit_router.types import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoreboard:
    """Choices so far, and their utility = quality − cost_weight · cost by the recorded outcomes."""

    data: Dataset
    cost_weight: float
    order: list[int] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)

    def add(self, index: int, arm: str) -> None:
        """Count one more choice: the query's index in the data, and its arm."""
        self.order.append(index)
        self.chosen.append(self.data.models.index(arm))

    def table(self) -> Table:
        """Share, reward, cost and utility over all queries so far, and utility over the last quarter."""
        title = (
            f"{len(self.order)} queries of {self.data.name}; utility = reward − {self.cost_weight:.3g} · USD"
        )
        table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        table.add_column("policy", overflow="fold")
        for heading in ("share", "reward", "USD/1k", "utility", "last ¼"):
            table.add_column(heading, justify="right")
        if not self.order:
            return table
        models = self.data.models
        picks = np.eye(len(models))[self.chosen]
        table.add_row(*self._cells("bandit-router", picks), style="bold")
        table.add_section()
        fixed = [np.tile(one_hot, (len(self.order), 1)) for one_hot in np.eye(len(models))]
        best = int(np.argmax([self._scores(weights)[2] for weights in fixed]))
        for j, model in enumerate(models):
            name = f"{model} *" if j == best else model
            table.add_row(*self._cells(name, fixed[j], f"{picks[:, j].mean():.1%}"))
        uniform = np.full_like(picks, 1.0 / len(models))
        table.add_row(*self._cells("uniform random", uniform))
        table.caption = "* the best fixed model in hindsight"
        return table

    def _cells(self, name: str, weights: FloatArray, share: str = "") -> list[str]:
        reward, cost, utility, recent = self._scores(weights)
        return [name, share, f"{reward:.4f}", f"{1000 * cost:.3f}", f"{utility:.4f}", f"{recent:.4f}"]

    def _scores(self, weights: FloatArray) -> tuple[float, float, float, float]:
        """Mean reward, cost, utility and recent utility of a policy with these choice weights (n, k)."""
        reward = (weights * self.data.quality[self.order]).sum(axis=1)
        cost = (weights * self.data.cost_usd[self.order]).sum(axis=1)
        utility = reward - self.cost_weight * cost
        recent = utility[-max(1, len(utility) // 4) :]
        return float(reward.mean()), float(cost.mean()), float(utility.mean()), float(recent.mean())
