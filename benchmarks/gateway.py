"""What the gateway adds to a call, beside LiteLLM's proxy and a raw relay, all measured in the same run.

    python -m benchmarks.gateway

All call a model of 20 ms on loopback, each with one worker. Ours commits every decision and call to SQLite
(WAL, synchronous FULL), with the settings that `init` writes and two arms; LiteLLM's has no database. The
servers share a core, and only one works at a time; the model and the load generator have another, where there
are two.

1. LiteLLM's capacity, closed loop; then, open loop at half of it, CPU of a request, and p50 and time to first
   token beyond those of calling the model directly.
2. Ours alone: p99 open loop at half of its own capacity.
3. Streams of 400 chunks: CPU of a chunk, beside a relay that passes bytes on and nothing else.

Rounds alternate. LiteLLM gets a virtual environment of its own, ``--litellm``, made with the first run. Exits
with 1 when a ratio is above its bar.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import uvloop

from bandit_router.evaluation.datasets import load_paretobandit
from benchmarks.gateway_load import Load, Target, keep_rate, make_request, saturate
from benchmarks.gateway_servers import (
    CHUNKS,
    LITELLM_ENVIRONMENT,
    install_litellm,
    write_litellm_settings,
    write_our_settings,
)
from benchmarks.http import pin, serving

DIRECT, OURS, LITELLM, RELAY = "direct", "ours", "litellm", "relay"
LITELLM_BAR = 0.2
RELAY_BAR = 1.5
_CONNECTIONS = 32
_STREAMS = 16
"""At once, so that the work of a second, such as learning, is shared by many."""

Rounds = Mapping[str, Sequence[Load]]


class Added(NamedTuple):
    """What one side adds to a call of the model, milliseconds: of CPU, at the median, to the first token."""

    cpu: float
    p50: float
    first_token: float


class Plan(NamedTuple):
    """How long to measure: the rounds of each comparison, and the seconds of one."""

    rounds: int
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--litellm", type=Path, default=Path(".venv-litellm"), help="its virtual environment")
    options = parser.parse_args()
    plan = Plan(options.rounds, options.seconds)
    litellm = install_litellm(options.litellm)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        targets = start_servers(Path(folder), litellm, stack)
        queries = load_paretobandit().queries
        beside = compare_with_litellm(targets, queries, plan)
        p99_ms, rate = measure_p99(targets[OURS], queries, plan)
        chunks = compare_with_relay(targets, queries, plan)
    return report(beside, p99_ms, rate, chunks)


def start_servers(folder: Path, litellm: Path, stack: ExitStack) -> dict[str, Target]:
    """The model and the three that call it, on their cores; this process has the model's."""
    *others, last = range(os.cpu_count() or 1)
    cores = set(others or [last])
    pin(0, {last})

    def start(
        command: Sequence[str | Path], environment: Mapping[str, str], on: set[int], ready: str
    ) -> Target:
        arguments = [str(argument) for argument in command]
        server = stack.enter_context(serving(arguments, dict(environment), on, ready))
        return Target(server.port, server.pid)

    module = [sys.executable, "-m", "benchmarks.gateway_servers"]
    model = start([*module, "upstream"], {}, {last}, "/readyz")
    url = f"http://127.0.0.1:{model.port}"
    config = write_litellm_settings(folder, url)
    serve = [sys.executable, "-m", "bandit_router.cli", "serve"]
    return {
        DIRECT: model,
        OURS: start(serve, write_our_settings(folder, url), cores, "/readyz"),
        LITELLM: start([litellm, "--config", config], LITELLM_ENVIRONMENT, cores, "/health/liveliness"),
        RELAY: start([*module, "relay", url], {}, cores, "/readyz"),
    }


def take_turns(names: Sequence[str], plan: Plan, run: Callable[[str], Load]) -> Rounds:
    """The rounds of each side; the first one warms all up."""
    measured: dict[str, list[Load]] = defaultdict(list)
    for turn in range(plan.rounds + 1):
        for name in sorted(names, reverse=turn % 2 == 1):
            load = run(name)
            if turn > 0:
                measured[name].append(load)
    return measured


# -- 1 ------------------------------------------------------------------------------------------------


def compare_with_litellm(
    targets: Mapping[str, Target], queries: Sequence[str], plan: Plan
) -> dict[str, Added]:
    """What ours and LiteLLM add, at half of LiteLLM's capacity."""
    whole = [make_request(query, stream=False) for query in queries]
    streams = [make_request(query, stream=True) for query in queries]
    uvloop.run(saturate(targets[LITELLM], whole, _CONNECTIONS, plan.seconds / 2))
    capacity = uvloop.run(saturate(targets[LITELLM], whole, _CONNECTIONS, plan.seconds)).rate
    rate = capacity / 2
    print(f"litellm saturates at {capacity:.0f} requests/s; all are asked {rate:.0f} a second")
    names = (DIRECT, OURS, LITELLM)
    answers = take_turns(
        names, plan, lambda name: uvloop.run(keep_rate(targets[name], whole, rate, plan.seconds))
    )
    streamed = take_turns(
        names, plan, lambda name: uvloop.run(keep_rate(targets[name], streams, rate, plan.seconds))
    )
    added: dict[str, Added] = {}
    for name in names:
        p50, p99 = np.percentile([t.total_s * 1e3 for load in answers[name] for t in load.timings], [50, 99])
        first = np.median([t.first_token_s * 1e3 for load in streamed[name] for t in load.timings])
        cpu = statistics.median(load.cpu_ms for load in answers[name])
        base = added.get(DIRECT, Added(0.0, 0.0, 0.0))
        added[name] = Added(cpu, float(p50) - base.p50, float(first) - base.first_token)
        shown = f"p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   first token {first:6.2f} ms"
        print(f"{name:8} CPU {cpu:6.2f} ms a request   {shown}")
    return added


# -- 2 ------------------------------------------------------------------------------------------------


def measure_p99(target: Target, queries: Sequence[str], plan: Plan) -> tuple[float, float]:
    """The p99 of ours, ms, at half of the rate that it can answer at; and that rate."""
    requests = [make_request(query, stream=False) for query in queries]
    capacity = uvloop.run(saturate(target, requests, 2 * _CONNECTIONS, plan.seconds)).rate
    loads = [uvloop.run(keep_rate(target, requests, capacity / 2, plan.seconds)) for _ in range(plan.rounds)]
    p50, p99 = np.percentile([t.total_s * 1e3 for load in loads for t in load.timings], [50, 99])
    print(f"ours saturates at {capacity:.0f} requests/s; at half of it p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    return float(p99), capacity / 2


# -- 3 ------------------------------------------------------------------------------------------------


def compare_with_relay(targets: Mapping[str, Target], queries: Sequence[str], plan: Plan) -> dict[str, float]:
    """CPU of a chunk, µs."""
    requests = [make_request(query, stream=True, long=True) for query in queries]
    rounds = take_turns(
        (OURS, RELAY),
        plan,
        lambda name: uvloop.run(saturate(targets[name], requests, _STREAMS, plan.seconds / 2)),
    )
    us = {name: statistics.median(load.cpu_ms for load in rounds[name]) * 1e3 / CHUNKS for name in rounds}
    print(f"a chunk of a stream of {CHUNKS}: ours {us[OURS]:.0f} µs of CPU, a raw relay {us[RELAY]:.0f} µs")
    return us


def report(beside: Mapping[str, Added], p99_ms: float, rate: float, chunks: Mapping[str, float]) -> int:
    ours, theirs = beside[OURS], beside[LITELLM]
    cpu, p50 = ours.cpu / theirs.cpu, ours.p50 / theirs.p50
    chunk = chunks[OURS] / chunks[RELAY]
    ok = max(cpu, p50) <= LITELLM_BAR and chunk <= RELAY_BAR
    print(
        f"gateway: {cpu:.2f} of litellm's CPU ({ours.cpu:.1f} of {theirs.cpu:.1f} ms) and {p50:.2f} of the "
        f"p50 it adds ({ours.p50:.1f} of {theirs.p50:.1f} ms, first token {ours.first_token:.1f} of "
        f"{theirs.first_token:.1f} ms; bar {LITELLM_BAR}); p99 {p99_ms:.0f} ms at {rate:.0f}/s; "
        f"{chunk:.2f} of a relay's CPU a chunk (bar {RELAY_BAR}): {'ok' if ok else 'MISSED'}"
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
