"""Colours the colour-blind tell apart: one for each arm, the same everywhere; darker ones for policies."""

from __future__ import annotations

from typing import NamedTuple

ARMS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe & Ito, Color universal design (2008), without black."""

POLICIES = ("#332288", "#882255", "#117733", "#5D4037", "#AA4499", "#225555")
"""The dark ones of Tol, Colour schemes (2021)."""

INK, GREY, FAINT = "#1f2933", "#8a94a0", "#e6e9ed"

EDGE = "rgba(31,41,51,0.5)"
"""Around markers: yellow is not seen on white without."""

_ARM_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "hexagon")
_POLICY_SYMBOLS = ("star", "star-diamond", "star-square", "star-triangle-up", "hexagram", "cross")
_PATTERNS = ("", "/", "x", ".", "-")
_DASHES = ("solid", "dash", "dashdot", "longdash")


class Look(NamedTuple):
    """How something is drawn: where colours repeat, the symbol, pattern and dash differ."""

    colour: str
    symbol: str
    pattern: str
    dash: str


def arm_look(index: int) -> Look:
    """Of the arm in this place of the log's or stream's arms."""
    again = index // len(ARMS)
    return Look(
        ARMS[index % len(ARMS)],
        _ARM_SYMBOLS[again % len(_ARM_SYMBOLS)],
        _PATTERNS[again % len(_PATTERNS)],
        _DASHES[again % len(_DASHES)],
    )


def policy_look(index: int) -> Look:
    """Of the policy in this place of those that were asked about."""
    return Look(
        POLICIES[index % len(POLICIES)],
        _POLICY_SYMBOLS[index % len(_POLICY_SYMBOLS)],
        "",
        _DASHES[index % len(_DASHES)],
    )


def faded(colour: str, opacity: float) -> str:
    """The colour, #rrggbb, at an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"
