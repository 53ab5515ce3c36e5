"""P(arm is the argmax) for independent Gaussians: the propensities of Thompson sampling."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from bandit_router.errors import InvalidInput
from bandit_router.types import FloatArray

_REACH = 8.0  # beyond this many widths a Gaussian has less than 1e-15 of its mass
_BULK = 2.5  # within this many it has nearly all of it, and the integrand its detail
_NODES = 24  # per panel; a panel spans about 2 * _BULK widths of the arm that needs the shortest
_LARGEST = 1e150  # so that nothing overflows on the way
_TINY = 1e-100


def argmax_probabilities(mean: FloatArray, std: FloatArray) -> FloatArray:
    """P(arm i is the argmax of independent draws N(mean_i, std_i²)), for every arm i.

    With φ and Φ the standard normal density and distribution, m = mean and s = std::

        P_i = ∫ φ((t - m_i) / s_i) / s_i · ∏_{j≠i} Φ((t - m_j) / s_j) dt

    Two arms have the closed form Φ((m_0 - m_1) / √(s_0² + s_1²)). More arms take one pass of composite
    Gauss-Legendre quadrature (Abramowitz & Stegun, 25.4.30) over nodes that all arms share. The largest
    error measured is 3e-11 for up to 50 arms with widths up to 1e7 apart (49 narrow arms beside one wide
    arm; 1e-14 is usual), and 1e-8 for 300 arms.

    A width of zero is a point mass, exactly; point masses that tie for the largest mean share evenly.
    Widths of at most 1e-100 of the widest, or 1e-200, count as zero.

    Args: ``mean`` and ``std``, both (k,) with k ≥ 1 and in one unit; std ≥ 0; neither is changed.
    Returns (k,): each ≥ 0, their sum 1 to within 1e-12.
    Raises InvalidInput (a ValueError) that names the argument.
    """
    _check_vector("mean", mean, -_LARGEST)
    _check_vector("std", std, 0.0)
    if mean.shape != std.shape:
        raise InvalidInput("std", f"has shape {std.shape}, mean has {mean.shape}", "give one width per arm")
    return _compute_pmf(mean, std)


def _check_vector(name: str, values: FloatArray, smallest: float) -> None:
    if values.ndim != 1 or values.size == 0:
        raise InvalidInput(name, f"has shape {values.shape}", "give a vector with one number per arm")
    if not smallest <= values[values.argmin()] <= values[values.argmax()] <= _LARGEST:  # NaN fails too
        low, high = f"{smallest:g}", f"{_LARGEST:g}"
        raise InvalidInput(name, "has a number that is not allowed", f"give finite ones in [{low}, {high}]")


def _compute_pmf(mean: FloatArray, std: FloatArray) -> FloatArray:
    if mean.size == 1:
        return np.ones(1)
    if mean.size == 2:
        return _two_arm_pmf(mean, std)
    reach = _REACH * std
    contenders = mean + reach >= (mean - reach).max()
    if np.count_nonzero(contenders) < contenders.size:
        pmf = np.zeros(mean.size)
        pmf[contenders] = _compute_pmf(mean[contenders], std[contenders])
        return pmf
    point = std <= _TINY * max(std.max(), _TINY)
    pmf = _pmf_with_point_masses(mean, std, point) if np.count_nonzero(point) else _integrate_pmf(mean, std)
    pmf /= pmf.sum()
    return pmf


def _two_arm_pmf(mean: FloatArray, std: FloatArray) -> FloatArray:
    (m0, m1), (s0, s1) = mean.tolist(), std.tolist()
    gap, spread = m0 - m1, math.sqrt(2.0) * math.hypot(s0, s1)
    z = gap / spread if spread else math.copysign(math.inf, gap) if gap else 0.0
    return np.array([0.5 * math.erfc(-z), 0.5 * math.erfc(z)])


def _pmf_with_point_masses(mean: FloatArray, std: FloatArray, point: npt.NDArray[np.bool_]) -> FloatArray:
    """With arms of width zero: the best of them wins if every other arm is below it."""
    top = mean[point].max()
    best, wide = point & (mean == top), ~point
    pmf = np.where(best, ndtr((top - mean[wide]) / std[wide]).prod() / np.count_nonzero(best), 0.0)
    if np.count_nonzero(wide):
        pmf[wide] = _integrate_pmf(mean[wide], std[wide], top)
    return pmf


def _integrate_pmf(mean: FloatArray, std: FloatArray, top: float = -math.inf) -> FloatArray:
    """P(arm i is the argmax, and above ``top``), for arms of positive width that can all win.

    The mass lies between max(m - 8s) and max(m + 8s). Every arm that can win has the first of these within
    8 of its own widths, so the detail there is as fine as the narrowest arm and coarsens in proportion to
    the distance. The substitution t = c + a·sinh(u), with c the mean of the narrowest arm and a = 2.5 of
    its widths, evens that out: panels of one length in u serve every arm, and their number grows with the
    logarithm of the ratio of the widths. As dt/du = √(a² + (t - c)²), a length of 5s / (dt/du at m + 2.5s)
    keeps a panel there to about five widths of the arm.
    """
    narrowest = std.argmin()
    m = mean - mean[narrowest]
    a = _BULK * std[narrowest]
    start = math.asinh(max((m - _REACH * std).max(), top - mean[narrowest]) / a)
    length = max(math.asinh((m + _REACH * std).max() / a) - start, 0.0)
    panel = (2.0 * _BULK * std / np.hypot(m + _BULK * std, a)).min()
    nodes, weights = _legendre_rule(1 + int(length / panel))
    t = a * np.sinh(start + length * nodes)
    z = (t - m[:, None]) / std[:, None]
    below = ndtr(z)
    measure = length * weights * np.hypot(t, a) * below.prod(axis=0)  # ∏ Φ_j dt
    hazard = np.exp(-0.5 * z * z) / below  # φ_i / Φ_i, finite because z ≥ -8
    mass: FloatArray = hazard @ measure / (math.sqrt(2.0 * math.pi) * std)
    return mass


@lru_cache(maxsize=256)
def _legendre_rule(panels: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of Gauss-Legendre quadrature on [0, 1] in equal panels."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    nodes = (np.arange(panels)[:, None] + 0.5 + 0.5 * x).ravel() / panels
    weights = np.tile(0.5 * w / panels, panels)
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights
