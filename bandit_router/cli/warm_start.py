"""`warm-start`: start a router from labels, from a log or from another router."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bandit_router.cli.connect import open_quiet_router
from bandit_router.cli.data_options import NO_DATA_OPTIONS, DataOptions, with_data_options
from bandit_router.cli.option_values import parse_pairs
from bandit_router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    LabelsOption,
    LogOption,
    RouterOption,
)
from bandit_router.cli.output import print_json, print_line, print_warning
from bandit_router.errors import InvalidInput
from bandit_router.router import Router
from bandit_router.types import Arm

if TYPE_CHECKING:
    from bandit_router.posterior.warm_start import WarmStartEvidence


@with_data_options
def warm_start(
    data: LabelsOption = None,
    log: LogOption = None,
    snapshot: Annotated[
        str | None, typer.Option(help="The URL of another router's database, to start from what it learned.")
    ] = None,
    router: RouterOption = "default",
    trust: Annotated[
        float | None, typer.Option(help="Most queries it may count for, at most all that it is of.")
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            help=(
                "The arm of each model in the source: gpt-4o=large,gpt-4o-mini=small. "
                "By default the arm of that name, else the arm with that model."
            )
        ),
    ] = None,
    loading: DataOptions = NO_DATA_OPTIONS,
    clear: Annotated[bool, typer.Option("--clear", metavar="", help="Remove the warm start.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Start a router from labelled queries, logged decisions or another router."""
    if sum(source is not None for source in (data, log, snapshot)) + clear != 1:
        raise InvalidInput(
            "source", "is not exactly one", "give one of --data, --log, --snapshot and --clear"
        )
    with open_quiet_router(config) as target:
        model_arms = _map_models(target.arms) | (parse_pairs("arms", arms) or {})
        evidence: WarmStartEvidence | None = None
        if data is not None:
            evidence = _evidence_of_labels(target, data, model_arms, loading)
        elif log is not None:
            evidence = _evidence_of_log(log, router, model_arms)
        elif snapshot is not None:
            from bandit_router.evaluation.warm_start import evidence_from_router

            evidence = evidence_from_router(snapshot, router, model_arms)
        version = target.warm_start(evidence, trust=trust)
    _print_warm_start(evidence, trust, version, as_json)


def _map_models(arms: Sequence[Arm]) -> dict[str, str]:
    """The arm of each model that the settings name for one arm alone, with and without its provider."""
    names: dict[str, set[str]] = defaultdict(set)
    for arm in arms:
        names[arm.model].add(arm.name)
        names[f"{arm.provider}/{arm.model}"].add(arm.name)
    taken = {arm.name for arm in arms}
    return {model: min(of) for model, of in names.items() if len(of) == 1 and model not in taken}


def _print_warm_start(
    evidence: WarmStartEvidence | None, trust: float | None, version: int, as_json: bool
) -> None:
    if as_json:
        facts = None if evidence is None else {"source": evidence.source, "queries": evidence.queries}
        print_json({"snapshot": version, "trust": trust, "evidence": facts})
    elif evidence is None:
        print_line(f"removed the warm start: snapshot {version}")
    else:
        queries = evidence.queries if trust is None else min(evidence.queries, trust)
        print_line(f"warm start from {evidence.source}, trusted for {queries:g} queries: snapshot {version}")
        if trust is not None and trust > evidence.queries:
            print_warning(f"--trust {trust:g} is more than the {evidence.queries:g} queries that it is of")


def _evidence_of_labels(
    router: Router, data: str, model_arms: Mapping[str, str], loading: DataOptions
) -> WarmStartEvidence:
    from bandit_router.evaluation.warm_start import evidence_from_dataset

    dataset = loading.load(data, need_costs=False)
    return evidence_from_dataset(dataset, router.arms, router.pipeline, model_arms)


def _evidence_of_log(log: str, router: str, model_arms: Mapping[str, str]) -> WarmStartEvidence:
    from bandit_router.evaluation.logs.read import open_log
    from bandit_router.evaluation.warm_start import evidence_from_log

    with open_log(log, router) as opened:
        return evidence_from_log(opened, opened.statistics(), model_arms)
