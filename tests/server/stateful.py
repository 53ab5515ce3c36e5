"""Requests that the OpenAPI document allows, and some that it does not, each following from another's answer.

python -m tests.server.stateful --cases 20000
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import schemathesis

from bandit_router.server.gateway import GATEWAY_PATHS
from bandit_router.settings import load_settings
from tests.server.gateway_bodies import make_body
from tests.server.walk import make_credentials
from tests.services import Service, serving, write_settings

WHO = ("nothing", "route", "feedback", "read", "admin")
SETTINGS: Mapping[str, Any] = {
    "policy": {"name": "cascade", "cheap": "small", "expensive": "large", "epsilon": 0.0},
    "cascade": {"enabled": True, "threshold": 1.0, "epsilon": 0.0},
    "budget": {"usd_per_request": 0.01},
}

_STEPS = 10
_TIMEOUT_S = 60.0

Statuses = Counter[tuple[str, str, int]]
"""How many requests of a method and a path were answered with a status."""


class ServerFault(AssertionError):
    """A request was answered with 5xx."""


def explore(service: Service, cases: int, everybody: Sequence[str] = WHO) -> dict[str, Statuses]:
    """Send at least that many requests as each of these. Raises ServerFault with the request at fault."""
    credentials = make_credentials(load_settings(service.config))
    document = schemathesis.openapi.from_url(f"{service.url}/openapi.json", headers=credentials["admin"])

    @document.hook
    def map_body(context: Any, body: Any) -> Any:
        return make_body(context.operation.path, body)

    return {who: explore_as(document, credentials.get(who, {}), cases) for who in everybody}


def explore_as(document: Any, headers: Mapping[str, str], cases: int) -> Statuses:
    """About half of the requests follow the links of the document, the others go to each operation by itself.

    Not all that is asked for is sent in one round: there are rounds until it is, each with a new seed.
    """
    statuses: Statuses = Counter()

    def check(case: Any, response: Any) -> None:
        statuses[case.method, case.operation.path, response.status_code] += 1
        if response.status_code >= 500:
            raise ServerFault(f"{case.as_curl_command()}\n{response.status_code} {response.text[:500]}")

    class Links(document.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": dict(headers), "timeout": _TIMEOUT_S}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            check(case, response)

    operations = [result.ok() for result in document.get_all_operations()]
    for seed in itertools.count():
        left = cases - statuses.total()
        if left <= 0:
            break
        hypothesis.seed(seed)(Links).run(settings=_run(left // (2 * _STEPS)))
        for operation in operations:
            _try_operation(operation, headers, check, left // (2 * len(operations)), seed)
    return statuses


def _try_operation(
    operation: Any, headers: Mapping[str, str], check: Callable[[Any, Any], None], cases: int, seed: int
) -> None:
    @hypothesis.seed(seed)
    @_run(cases)
    @hypothesis.given(operation.as_strategy())
    def call(case: Any) -> None:
        check(case, case.call(headers=dict(headers), timeout=_TIMEOUT_S))

    call()


def _run(examples: int) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=max(1, examples),
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],  # a database remembers, so that nothing fails twice alike
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def count_by_kind(statuses: Statuses) -> dict[str, Counter[int]]:
    """How many requests to the gateway, and to the rest of the API, had a status of each class."""
    classes: dict[str, Counter[int]] = defaultdict(Counter)
    for (_, path, status), count in statuses.items():
        classes["gateway" if path in GATEWAY_PATHS else "api"][status // 100] += count
    return classes


def write_scripted(folder: Path) -> Path:
    """Settings of a service whose arms are scripted, so that the gateway answers, too."""
    prices = {"provider": "scripted", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    arms = tuple({"name": name, "model": name, **prices} for name in ("small", "large"))
    return write_settings(folder, arms=arms, **SETTINGS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    cases = parser.parse_args().cases
    with tempfile.TemporaryDirectory() as folder, serving(write_scripted(Path(folder))) as service:
        found = explore(service, cases // len(WHO))
        assert "Traceback" not in service.log
    for who, statuses in found.items():
        print(f"{who}: {statuses.total()} requests")
        for (method, path, status), count in sorted(statuses.items()):
            print(f"  {method} {path} {status}: {count}")
    total = sum(found.values(), Counter[tuple[str, str, int]]())
    print(f"{total.total()} requests of {cases}")
    for kind, classes in sorted(count_by_kind(total).items()):
        print(f"  {kind}: " + ", ".join(f"{n} of {status}xx" for status, n in sorted(classes.items())))


if __name__ == "__main__":
    main()
