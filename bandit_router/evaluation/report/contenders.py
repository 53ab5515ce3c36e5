"""The order of a table: each policy above its blind baselines, then fixed models, then uniform random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bandit_router.evaluation.answers import Evaluation
from bandit_router.evaluation.report.formatting import printable
from bandit_router.evaluation.simulation.simulate import Contender, Simulation

LABELS = {
    "logged": "logged",
    "best fixed": "best fixed, by seed",
    "uniform": "uniform random",
    "blind mix": "blind mix",
    "shuffled": "shuffled",
}
BLIND_NOTES = (
    "blind mix: the best query-blind mix of fixed models at the policy's cost",
    "shuffled: the policy's own choices dealt to other queries, at the same cost",
)


class TableEntry(NamedTuple):
    """A row of the table: the participant's position, its label, and whether its group ends with it."""

    position: int
    label: str
    indent: bool
    last: bool


class Participant(NamedTuple):
    """A policy or baseline of a table, by name, role, and the policy it is compared to."""

    name: str
    role: str
    of: str | None


def order_participants(participants: Sequence[Participant]) -> list[TableEntry]:
    """One entry for each participant, in order of the table."""
    roles: dict[str, list[int]] = {}
    for i, participant in enumerate(participants):
        roles.setdefault(participant.role, []).append(i)
    groups = [roles.get("logged", [])]
    for i in roles.get("policy", []):
        below = [*roles.get("blind mix", []), *roles.get("shuffled", [])]
        groups.append([i, *(j for j in below if participants[j].of == participants[i].name)])
    groups.append([*roles.get("fixed", []), *roles.get("best fixed", [])])
    groups.append(roles.get("uniform", []))
    return [
        TableEntry(
            position=i,
            label=participant_label(participants[i]),
            indent=participants[i].role in ("blind mix", "shuffled"),
            last=i == group[-1],
        )
        for group in groups
        for i in group
    ]


def participant_label(participant: Participant) -> str:
    """The name of a participant in a table; a fixed model goes by the name of its model."""
    if participant.role == "fixed":
        return printable(participant.name.removeprefix("fixed:"))
    return LABELS.get(participant.role) or printable(participant.name)


def evaluation_entries(evaluation: Evaluation) -> list[TableEntry]:
    """The policies and baselines of an evaluation, in order of its table."""
    questions = [answer.question for answer in evaluation.answers]
    return order_participants([Participant(q.name, q.role, q.of) for q in questions])


def simulation_entries(simulation: Simulation) -> list[TableEntry]:
    """The contenders of a simulation, in order of its table.

    "Best fixed, by seed" has a row only where the best fixed model differs from seed to seed.
    """
    best = best_fixed_contender(simulation)
    same = np.array_equal(best.values("utility"), simulation.named("best fixed").values("utility"))
    participants = [Participant(c.name, c.role, c.policy) for c in simulation.contenders]
    entries = order_participants(participants)
    if not same:
        return entries
    entries = [entry for entry in entries if participants[entry.position].role != "best fixed"]
    fixed = [i for i, entry in enumerate(entries) if participants[entry.position].role == "fixed"]
    entries[fixed[-1]] = entries[fixed[-1]]._replace(last=True)
    return entries


def best_fixed_contender(simulation: Simulation) -> Contender:
    """The fixed model of the highest mean utility over all seeds."""
    fixed = [contender for contender in simulation.contenders if contender.role == "fixed"]
    return max(fixed, key=lambda contender: float(contender.values("utility").mean()))
