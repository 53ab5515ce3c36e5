"""Who stands where: policies, each above its blind baselines, then fixed models, then uniform random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bandit_router.evaluation.report.words import clean


class Place(NamedTuple):
    """The place of number ``item`` of the results: its ``label``, and whether its group ends with it."""

    item: int
    label: str
    indent: bool
    last: bool


class Standing(NamedTuple):
    """What decides on a place: name, role, and the policy it is compared to."""

    name: str
    role: str
    of: str | None


LABELS = {
    "logged": "logged",
    "best fixed": "best fixed, by seed",
    "uniform": "uniform random",
    "blind mix": "blind mix",
    "shuffled": "shuffled",
}

BLIND = (
    "blind mix: the best query-blind mix of fixed models at the policy's cost",
    "shuffled: the policy's own choices dealt to other queries, at the same cost",
)


def places(standings: Sequence[Standing]) -> list[Place]:
    """All of them, in order of the table."""
    roles: dict[str, list[int]] = {}
    for i, standing in enumerate(standings):
        roles.setdefault(standing.role, []).append(i)
    groups = [roles.get("logged", [])]
    for i in roles.get("policy", []):
        below = [*roles.get("blind mix", []), *roles.get("shuffled", [])]
        groups.append([i, *(j for j in below if standings[j].of == standings[i].name)])
    groups.append([*roles.get("fixed", []), *roles.get("best fixed", [])])
    groups.append(roles.get("uniform", []))
    return [
        Place(i, label(standings[i]), standings[i].role in ("blind mix", "shuffled"), i == group[-1])
        for group in groups
        for i in group
    ]


def label(standing: Standing) -> str:
    """What it is called in a table: fixed models by the name of the model."""
    if standing.role == "fixed":
        return clean(standing.name.removeprefix("fixed:"))
    return LABELS.get(standing.role) or clean(standing.name)
