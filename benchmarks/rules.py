"""Mean time to ask the shipped rules about one query, beside the text statistics of the same query.

    python benchmarks/rules.py

Real queries (the paretobandit package's) and the worst that a caller may send, long texts. The text
statistics are part of every context: what a query costs anyway. Both run on one thread and take turns. Exits
with 1 when the rules take longer than 50 µs a real query, or than the statistics.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a script, this folder comes first on the path, and http.py would hide the standard library's http.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

from collections.abc import Callable, Sequence
from time import perf_counter_ns

from rich.console import Console
from rich.table import Table

from bandit_router.evaluation.datasets import load_paretobandit
from bandit_router.features import read_query, text_statistics
from bandit_router.signals.rules import default_rules, make_rules
from bandit_router.types import Query

MOST_US = 50.0
ROUNDS = 20
_WORST = 4096


def mean_us(call: Callable[[Query], object], queries: Sequence[Query]) -> float:
    """Mean time of one call over all queries, µs."""
    start = perf_counter_ns()
    for query in queries:
        call(query)
    return (perf_counter_ns() - start) / 1e3 / len(queries)


def race(queries: Sequence[Query]) -> tuple[float, float]:
    """Rules and statistics, µs a query: the best of ROUNDS, in turns."""
    rules = make_rules(default_rules())
    rounds = [(mean_us(rules, queries), mean_us(text_statistics, queries)) for _ in range(ROUNDS)]
    return min(ours for ours, _ in rounds), min(floor for _, floor in rounds)


def main() -> int:
    real = [read_query(text) for text in load_paretobandit().queries]
    prose = "The quick brown fox, jumping over a dog. " * (_WORST // 41 + 1)
    kinds = {
        f"{len(real)} real queries": real,
        f"prose of {_WORST} characters": [Query(text=prose[:_WORST])] * 100,
        f"“a ” × {_WORST // 2}": [Query(text="a " * (_WORST // 2))] * 100,
        f"“codecode” × {_WORST // 8}": [Query(text="codecode" * (_WORST // 8))] * 100,
        f"Greek of {_WORST} characters": [Query(text="Εξήγησε μου. " * (_WORST // 13))] * 100,
    }
    table = Table("queries", "rules, µs", "text statistics, µs", "ratio")
    measured = {name: race(queries) for name, queries in kinds.items()}
    for name, (ours, floor) in measured.items():
        table.add_row(name, f"{ours:.1f}", f"{floor:.1f}", f"{ours / floor:.2f}")
    Console().print(table)
    ours, floor = next(iter(measured.values()))
    met = ours < MOST_US and ours < floor
    verdict = "" if met else ": MISSED"
    print(f"rules: {ours:.1f} µs a real query, {ours / floor:.2f} of the text statistics{verdict}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
