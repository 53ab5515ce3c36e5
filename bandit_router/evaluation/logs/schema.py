"""The Parquet schema of an exported log: one row per decision, in order of time, with its feedback.

Importing this module imports pyarrow, or raises a ConfigError that says how to install it.
"""

from __future__ import annotations

from typing import Any

from bandit_router.errors import ConfigError
from bandit_router.evaluation.block import OUTCOMES

try:
    import pyarrow as pa
    from pyarrow import compute, parquet
except ModuleNotFoundError:
    raise ConfigError("reading and writing Parquet needs: pip install 'bandit-router[evaluation]'") from None

__all__ = [
    "DICTIONARY_PATHS",
    "OPTIONAL_COLUMNS",
    "REQUIRED_COLUMNS",
    "SCHEMA",
    "VECTOR_PATH",
    "check_columns",
    "compute",
    "pa",
    "parquet",
]

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
        "task": pa.int64(),  # its number; log.json has the names
        "signals": _NAME,  # JSON object of the query's signals
        # Metrics of the feedback, null where there is none.
        "quality": _NUMBER,
        "satisfaction": _NUMBER,
        "error": _NUMBER,
        "cost_usd": _NUMBER,
        "latency_s": _NUMBER,
        "override": _NUMBER,
        "confidence": _NUMBER,
        "ttft_s": _NUMBER,
        "refusal": _NUMBER,
        "truncated": _NUMBER,
        "empty": _NUMBER,
        "invalid_json": _NUMBER,
        "tool_error": _NUMBER,
        "regenerated": _NUMBER,
        "abandoned": _NUMBER,
        "judged": _NUMBER,
        "own_metrics": _NAME,  # JSON object of the metrics that the owner declared, each in [0, 1]
        "reward": _NUMBER,  # of these metrics, by the router's reward weights
        "reward_weight": _NUMBER,  # that it is learned with; 1 but for keys that are capped
    }
)

DICTIONARY_PATHS = ("schema_id", "eligible.list.element", "arm", "reason", "policy", "signals", "own_metrics")
"""The dictionary-encoded columns, by their paths in Parquet."""

VECTOR_PATH = "x.list.element"

REQUIRED_COLUMNS = (
    *("id", "schema_id", "arm", "reason", "eligible", "decided_at", "propensity", "cost_weight"),
    *(*OUTCOMES, "x", "pmf", "costs_usd"),
)
"""The columns an evaluation reads."""

_OPTIONAL_NUMBERS = ("list_cost_usd", "reward_weight", "task")

OPTIONAL_COLUMNS = ("signals", *_OPTIONAL_NUMBERS)
"""Columns an evaluation reads if they exist: logs of older versions lack them."""


def check_columns(columns: Any) -> str | None:
    """The first thing wrong with the columns of a file, given as its Arrow schema; None when nothing is.

    Other writers than ours may use 32-bit floats, integers, plain text and other kinds of lists.
    """
    if missing := [name for name in REQUIRED_COLUMNS if name not in columns.names]:
        return f"has no column {', '.join(missing)}"
    for name in (*REQUIRED_COLUMNS, *_OPTIONAL_NUMBERS):
        if name in columns.names:
            stored, wanted = columns.field(name).type, _content(SCHEMA.field(name).type)
            if _content(stored) != wanted:
                return f"column {name} holds {stored}, not {wanted}"
    return None


def _content(kind: Any) -> str:
    """What an Arrow type holds: text, numbers, lists of either, or its own name."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return f"lists of {_content(kind.value_type)}"
    value = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_string(value) or types.is_large_string(value) or types.is_string_view(value):
        return "text"
    is_number = types.is_floating(kind) or types.is_integer(kind) or types.is_null(kind)
    return "numbers" if is_number else str(kind)
