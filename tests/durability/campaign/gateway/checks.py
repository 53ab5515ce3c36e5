"""What must hold of calls after all that went wrong, in the log and in the upstreams' own record."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bandit_router.router import Router
from bandit_router.settings import load_settings
from bandit_router.store.tables import calls, decisions, feedback
from bandit_router.types import CallOutcome
from tests.databases import sql
from tests.durability.campaign.gateway.upstream import PRICES, find_marker
from tests.durability.checks import Findings, nobody_connected
from tests.durability.helpers import Told, quality

_ENDED_BY_KILL_S = 10.0
"""A call that is lost began at most so long before a worker was killed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Called:
    """A decision with its call, and the values of each metric of it, in order. ``call`` is None without."""

    id: str
    marker: str
    arm: str
    parent: str | None
    decided_at: float
    call: Mapping[str, Any] | None
    metrics: Mapping[str, list[float | None]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All there is to compare: the log, what clients were told, and what upstreams say that they served."""

    called: dict[str, Called]
    told: Told
    notes: Mapping[str, list[Any]]

    def chains(self) -> dict[str, list[Called]]:
        """The decisions of each request, in the order they were made."""
        chains: dict[str, list[Called]] = defaultdict(list)
        for called in sorted(self.called.values(), key=lambda one: one.id):
            chains[called.marker].append(called)
        return chains

    def served(self) -> dict[tuple[str, str], list[Any]]:
        """What upstreams served, by request and arm."""
        served: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for (one,) in self.notes["served"]:
            served[one["marker"], one["arm"]].append(one)
        return served


def compare_calls(config: Path, told: Told) -> Findings:
    """Fold what is pending, and compare the log with clients and upstreams, each of whom knows one side."""
    url = load_settings(config).store.url
    nobody_connected(url)
    with Router.open(config) as router:
        router.learn()
        report = router.verify()
    evidence = Evidence(_read_called(url), told, _read_notes(config.with_name("told")))
    return Findings(
        lost_decisions=[id for id in told.decisions if id not in evidence.called],
        lost_feedback=list(_find_lost_ratings(evidence)),
        doubled=[*_find_doubled_chains(evidence), *_find_doubled_accounts(evidence)],
        problems=[
            *report.problems,
            *_find_broken_chains(evidence),
            *_find_wrong_accounts(evidence),
            *_find_uncredited(evidence),
            *_find_unexplained_losses(evidence),
        ],
    )


def _read_called(url: str) -> dict[str, Called]:
    with sql(url) as connection:
        values: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
        for row in connection.execute(select(feedback).order_by(feedback.c.revision)):
            values[row.decision_id][row.metric].append(row.value)
        of_decision = {row.decision_id: dict(row._mapping) for row in connection.execute(select(calls))}
        return {
            row.id: Called(
                id=row.id,
                marker=find_marker(row.query.encode()),
                arm=row.arm,
                parent=row.parent,
                decided_at=row.decided_at,
                call=of_decision.get(row.id),
                metrics=values[row.id],
            )
            for row in connection.execute(select(decisions))
        }


def _read_notes(path: Path) -> dict[str, list[Any]]:
    notes: dict[str, list[Any]] = defaultdict(list)
    for line in path.read_bytes().split(b"\n")[:-1]:
        kind, *content = json.loads(line)
        notes[kind].append(content)
    return notes


def _find_lost_ratings(evidence: Evidence) -> Iterator[str]:
    for id in evidence.told.stages:
        found = evidence.called[id].metrics["quality"] if id in evidence.called else []
        if found != [quality(id, 1)]:
            yield f"decision {id}: its ratings are {found}, its client said {quality(id, 1)}"


def _find_doubled_chains(evidence: Evidence) -> Iterator[str]:
    for marker, chain in evidence.chains().items():
        if (roots := sum(called.parent is None for called in chain)) != 1:
            yield f"request {marker} has {roots} chains"


def _find_doubled_accounts(evidence: Evidence) -> Iterator[str]:
    for called in evidence.called.values():
        if len(costs := called.metrics["cost_usd"]) > 1:
            yield f"decision {called.id}: its call is accounted {len(costs)} times: {costs}"
    for (marker, arm), served in evidence.served().items():
        if len(served) > 1:
            yield f"request {marker} was sent to {arm} {len(served)} times"


def _find_broken_chains(evidence: Evidence) -> Iterator[str]:
    chains = evidence.chains()
    for marker, chain in chains.items():
        if [called.parent for called in chain[1:]] != [called.id for called in chain[:-1]]:
            yield f"request {marker}: not every fallback follows the one before"
        if len({called.arm for called in chain}) < len(chain):
            yield f"request {marker}: an arm was called twice"
        if marker not in evidence.told.asked:
            yield f"request {marker}: nobody asked it"
    for marker, ids in evidence.told.answered.items():
        told = [evidence.told.decisions[id] for id in ids]
        last, said = chains[marker][-1:], [(one["id"], one["arm"], one["fallbacks"]) for one in told]
        if said != [(called.id, called.arm, len(chains[marker]) - 1) for called in last]:
            yield f"request {marker}: its client was told {said}, the log has {last}"


def _find_wrong_accounts(evidence: Evidence) -> Iterator[str]:
    for called in evidence.called.values():
        call, costs = called.call, called.metrics["cost_usd"]
        if call is None:
            yield f"decision {called.id} has no call"
        elif call["outcome"] is None or call["cost_usd"] is None:
            yield f"decision {called.id}: its call has not ended"
        elif costs[:1] != ([] if call["outcome"] == CallOutcome.LOST else [call["cost_usd"]]):
            yield f"decision {called.id}: it cost {costs}, its call {call['cost_usd']}"


def _find_uncredited(evidence: Evidence) -> Iterator[str]:
    """Where what ran is not what is credited."""
    served = evidence.served()
    credited = Counter((called.marker, called.arm) for called in evidence.called.values())
    for marker, arm in served.keys() - credited.keys():
        yield f"request {marker} ran on {arm}, which no call says"
    for called in evidence.called.values():
        ran = served.get((called.marker, called.arm), [])
        if called.call is not None and (problem := _find_difference(called.arm, called.call, ran)):
            yield f"decision {called.id}: {problem}"
    for id, answer_id in evidence.notes["answered"]:
        call = evidence.called[id].call if id in evidence.called else None
        ended = None if call is None else (call["outcome"], call["answer_id"])
        if ended not in ((CallOutcome.ANSWERED, answer_id), (CallOutcome.LOST, None)):
            yield f"decision {id}: its client has answer {answer_id}, its call {ended}"


def _find_difference(arm: str, call: Mapping[str, Any], ran: list[Any]) -> str | None:
    """What a call says that upstream does not."""
    if call["outcome"] == CallOutcome.FAILED and call["status"] is not None and call["status"] >= 400:
        return None if [one["status"] for one in ran] == [call["status"]] else f"{call['status']}, not {ran}"
    if call["outcome"] != CallOutcome.ANSWERED:
        return None
    if [one["sound"] for one in ran] != [True]:
        return f"it was answered, and upstream served {ran}"
    tokens = ran[0]["tokens"]
    cost_usd = sum(count * price for count, price in zip(tokens, PRICES[arm], strict=True)) / 1e6
    found = [call["input_tokens"], call["output_tokens"]], call["cost_usd"], call["cost_reported"]
    return None if found == (tokens, cost_usd, True) else f"{found}, not {(tokens, cost_usd)}"


def _find_unexplained_losses(evidence: Evidence) -> Iterator[str]:
    kills = [at for (at,) in evidence.notes["killed"]]
    for called in evidence.called.values():
        if called.call is not None and called.call["outcome"] == CallOutcome.LOST:
            began = called.decided_at  # when its call began, which has been aged to be swept
            if not any(began <= at <= began + _ENDED_BY_KILL_S for at in kills):
                yield f"decision {called.id}: its call is lost, and nobody killed its worker"
