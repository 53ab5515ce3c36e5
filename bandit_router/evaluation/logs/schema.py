"""The columns of an exported log: one row per decision, in order of time, with its feedback."""

from __future__ import annotations

from bandit_router.evaluation.logs.arrow import pa

_TEXT = pa.string()
_NAME = pa.dictionary(pa.int32(), pa.string())  # few values, often repeated
_NUMBER = pa.float64()

SCHEMA = pa.schema(
    {
        "id": _TEXT,
        "decided_at": _NUMBER,  # Unix time, seconds
        "x": pa.list_(_NUMBER),
        "schema_id": _NAME,
        "eligible": pa.list_(_NAME),  # the order of pmf and costs_usd
        "pmf": pa.list_(_NUMBER),
        "costs_usd": pa.list_(_NUMBER),  # expected when the choice was made
        "arm": _NAME,
        "propensity": _NUMBER,
        "reason": _NAME,
        "policy": _NAME,
        "snapshot": pa.int64(),
        "cost_weight": _NUMBER,  # 1/USD
        "expected_quality": _NUMBER,
        "expected_cost_usd": _NUMBER,
        "list_cost_usd": _NUMBER,  # of the arm chosen, by its prices alone
        "conversation": _TEXT,
        "parent": _TEXT,
        "query": _TEXT,
        "signals": _NAME,  # JSON of what was known of the query besides x
        # From here on what became of it; null where there is no such feedback.
        "quality": _NUMBER,
        "satisfaction": _NUMBER,
        "error": _NUMBER,
        "cost_usd": _NUMBER,
        "latency_s": _NUMBER,
        "override": _NUMBER,
        "confidence": _NUMBER,
        "reward": _NUMBER,  # of these metrics, by the router's reward weights
    }
)

NAMES = ("schema_id", "eligible.list.element", "arm", "reason", "policy", "signals")
"""The dictionary-encoded columns, by their paths in Parquet."""

VECTOR = "x.list.element"
