"""The command that starts a router from what is known elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from bandit_router.cli.checks import read_columns, read_pairs
from bandit_router.cli.options import (
    DEFAULT_CONFIG,
    ColumnsOption,
    ConfigOption,
    JsonOption,
    LabelsOption,
    LogOption,
    RouterOption,
    print_json,
    quiet_router,
    say,
)
from bandit_router.errors import InvalidInput
from bandit_router.router import Router

if TYPE_CHECKING:
    from bandit_router.posterior.warm_start import Evidence


def warm_start(
    data: LabelsOption = None,
    log: LogOption = None,
    snapshot: Annotated[
        str | None, typer.Option(help="Or what a router has learned: the URL of its database.")
    ] = None,
    router: RouterOption = "default",
    trust: Annotated[
        float | None, typer.Option(help="Queries that it may count for; as many as it is of by default.")
    ] = None,
    arms: Annotated[
        str | None, typer.Option(help="Which arm each of their models is: gpt-4o=large,gpt-4o-mini=small.")
    ] = None,
    columns: ColumnsOption = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take the warm start away.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Start from labelled queries, logged decisions or another router, instead of from nothing."""
    if sum(source is not None for source in (data, log, snapshot)) + clear != 1:
        raise InvalidInput("source", "is not one", "give one of --data, --log, --snapshot and --clear")
    names = read_pairs("arms", arms) or {}
    with quiet_router(config) as ours:
        evidence: Evidence | None = None
        if data is not None:
            evidence = _labelled(ours, data, names, read_columns(columns))
        elif log is not None:
            evidence = _logged(log, router, names)
        elif snapshot is not None:
            from bandit_router.evaluation.warm_start import of_router

            evidence = of_router(snapshot, router, names)
        version = ours.warm_start(evidence, trust=trust)
    _report(evidence, trust, version, as_json)


def _report(evidence: Evidence | None, trust: float | None, version: int, as_json: bool) -> None:
    if as_json:
        facts = None if evidence is None else {"source": evidence.source, "queries": evidence.queries}
        print_json({"snapshot": version, "trust": trust, "evidence": facts})
    elif evidence is None:
        say(f"took the warm start away: snapshot {version}")
    else:
        counts = evidence.queries if trust is None else min(evidence.queries, trust)
        say(f"warm start from {evidence.source}, trusted for {counts:g} queries: snapshot {version}")


def _labelled(
    router: Router, data: str, names: Mapping[str, str], columns: Mapping[str, str] | None
) -> Evidence:
    from bandit_router.evaluation.datasets import load_dataset
    from bandit_router.evaluation.warm_start import of_labels

    return of_labels(load_dataset(data, columns=columns), router.arms, router.pipeline, names)


def _logged(log: str, router: str, names: Mapping[str, str]) -> Evidence:
    from bandit_router.evaluation.logs.read import open_log
    from bandit_router.evaluation.warm_start import of_log

    with open_log(log, router) as opened:
        return of_log(opened, opened.posterior(), names)
