"""Colours that colour-blind readers can tell apart: one for each arm everywhere, darker ones for policies."""

from __future__ import annotations

from typing import NamedTuple

ARMS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe & Ito, Color universal design (2008), without black."""

POLICIES = ("#332288", "#882255", "#117733", "#5D4037", "#AA4499", "#225555")
"""The dark ones of Tol, Colour schemes (2021)."""

INK, GREY, FAINT = "#1f2933", "#8a94a0", "#e6e9ed"
EDGE = "rgba(31,41,51,0.5)"
"""The line around markers: yellow is invisible on white without it."""

_ARM_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "hexagon")
_POLICY_SYMBOLS = ("star", "star-diamond", "star-square", "star-triangle-up", "hexagram", "cross")
_PATTERNS = ("", "/", "x", ".", "-")
_DASHES = ("solid", "dash", "dashdot", "longdash")


class Look(NamedTuple):
    """How an arm or a policy is drawn: where colours repeat, symbol, pattern and dash differ."""

    colour: str
    symbol: str
    pattern: str
    dash: str


def arm_look(index: int) -> Look:
    """The look of an arm, by its index among the arms of the log or stream."""
    cycle = index // len(ARMS)
    return Look(
        ARMS[index % len(ARMS)],
        _ARM_SYMBOLS[cycle % len(_ARM_SYMBOLS)],
        _PATTERNS[cycle % len(_PATTERNS)],
        _DASHES[cycle % len(_DASHES)],
    )


def policy_look(index: int) -> Look:
    """The look of a policy, by its index among the policies on the chart."""
    return Look(
        POLICIES[index % len(POLICIES)],
        _POLICY_SYMBOLS[index % len(_POLICY_SYMBOLS)],
        "",
        _DASHES[index % len(_DASHES)],
    )


def with_opacity(colour: str, opacity: float) -> str:
    """The colour #rrggbb at an opacity in [0, 1], as rgba()."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"
