"""Recognises ratings on another scale than the one they are read on: stars, thumbs, percent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.values import Kind, parse_number
from bandit_router.types import FloatArray, Scale

_USUAL = [(-1, 1), (1, 5), (0, 5), (1, 7), (1, 10), (0, 10), (0, 100)]
_SHARE_ON_GRID = 0.1
_SHARE = 0.5
_FEW = 10  # ratings on no usual scale, which are as likely to be errors


def recognise_scale(values: FloatArray, scale: Scale) -> Scale | None:
    """The scale that numbers (n,) off ``scale`` seem to be on; None when they are on it, or look like errors.

    Ratings are whole or half numbers, of which at least a tenth and several different ones are off the scale,
    or any numbers of which half is; of −1, 0 and 1, a single −1 will do.
    """
    values = values[np.isfinite(values)]
    distinct, off = np.unique(values), (values < scale.low) | (values > scale.high)
    if len(distinct) < 2 or not off.any():
        return None
    are_thumbs = bool(np.isin(distinct, (-1, 0, 1)).all())
    several = len(np.unique(values[off])) > 1
    on_grid = several and bool((2 * distinct == np.round(2 * distinct)).all())
    if not (are_thumbs or off.mean() >= (_SHARE_ON_GRID if on_grid else _SHARE)):
        return None
    low, high = float(distinct[0]), float(distinct[-1])
    usual = (Scale(*usual) for usual in _USUAL if usual[0] <= low and high <= usual[1])
    few = len(values) < _FEW
    return next(usual, None if few else Scale(low, high))


def check_scale(path: Path, column: str, values: Sequence[object], kind: Kind, advice: str) -> None:
    """Raise ConfigError when a column of quality seems to be on another scale.

    Leaving such rows out would keep the worst ratings alone. ``advice`` says what to do, given ``{low}`` and
    ``{high}``.
    """
    numbers = np.array([parse_number(value, kind) for value in values], dtype=np.float64)
    scale = recognise_scale(numbers, Scale(kind.low, kind.high))
    if scale is not None:
        least, most = np.nanmin(numbers), np.nanmax(numbers)
        fix = advice.format(low=f"{scale.low:g}", high=f"{scale.high:g}")
        raise ConfigError(
            f"{path}: {column} has numbers from {least:g} to {most:g}, which looks like "
            f"{scale.low:g} to {scale.high:g}: {fix}"
        )
