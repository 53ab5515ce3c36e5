"""Names and numbers as text, the same on a terminal and on a page."""

from __future__ import annotations

import math

from bandit_router.evaluation.estimators import Figure

UNKNOWN = "—"
REFUSED = "refused"
_EXTRA_DECIMALS = 4  # beyond the usual four, for differences that would otherwise read 0.0000


def printable(name: str) -> str:
    """The name with every unprintable character, such as a line break or escape code, replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def shorten(name: str, most: int = 30) -> str:
    """The name in at most ``most`` characters, cut in the middle, since versions differ at the end."""
    name = printable(name)
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"


def join_names(names: list[str]) -> str:
    """The names in one phrase: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def decimals_of_usd(usd: float) -> int:
    """Decimals that leave three digits of an amount, and never show less than a tenth of a cent."""
    return min(3, max(0, 2 - math.floor(math.log10(usd)))) if usd > 0 else 3


def usd_per_1k(cost_usd: float) -> str:
    """A cost per query, in USD, as USD per 1,000 queries."""
    return f"{1000 * cost_usd:.{decimals_of_usd(1000 * cost_usd)}f}"


def format_interval(value: float, low: float, high: float, decimals: int, mark: str = "") -> str:
    """A value and its interval; a narrow column breaks between the two and nowhere else."""
    return f"{value:.{decimals}f}{mark} [{low:.{decimals}f}–{high:.{decimals}f}]"


def format_spread(value: float, spread: float | None, decimals: int) -> str:
    """A value and its spread, if any; a narrow column breaks between the two."""
    return f"{value:.{decimals}f}" + ("" if spread is None else f" ±{spread:.{decimals}f}")


def decimals_of_spread(spread: float | None) -> int:
    """Four decimals, or more where the spread would read as 0."""
    if not spread or round(spread, 4):
        return 4
    return min(4 + _EXTRA_DECIMALS, 1 - math.floor(math.log10(spread)))


def scale_for_table(figure: Figure, outcome: str) -> tuple[float, float, float, int]:
    """Value, low and high of a figure in a table's units (costs in USD per 1,000), and the decimals."""
    if outcome != "cost_usd":
        return figure.value, figure.low, figure.high, 3
    value, low, high = (1000.0 * v for v in (figure.value, figure.low, figure.high))
    return value, low, high, decimals_of_usd(value)
