"""Inverses of symmetric matrices that are diagonal but for a border, by the Schur complement.

A precision of features and tasks has, with R (T, D), a diagonal n (T,) and priors Λ (D,) and λ::

    A = | M + Λ   Rᵀ    |      C = A⁻¹ = |  B      −B Gᵀ            |      H = (n + λ)⁻¹,  G = H R
        | R       n + λ |                | −G B    diag(H) + G B Gᵀ |      B = (M + Λ − Rᵀ G)⁻¹

so that T tasks cost O(T D²), not O((D + T)³) (Golub & Van Loan, Matrix Computations, 3.2.11).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bandit_router.types import FloatArray


@dataclass(frozen=True, eq=False)
class BorderedInverse:
    """C of K arms, for V candidates of Λ and U of λ; vectors have E = D + T entries, tasks behind features.

    ``inner`` is B (V, U, K, D, D), ``gain`` is G (U, K, T, D), ``diagonal`` is H (U, K, T) and ``log_det`` is
    log |C| (V, U, K).
    """

    inner: FloatArray
    gain: FloatArray
    diagonal: FloatArray
    log_det: FloatArray

    @cached_property
    def crossed(self) -> FloatArray:
        """G B (V, U, K, T, D)."""
        return np.asarray(self.gain @ self.inner)

    def multiply(self, vector: FloatArray) -> FloatArray:
        """C b for vectors b (..., K, E) that broadcast to (V, U, K, E)."""
        first, last = self._split(vector)
        solved = _apply(self.inner, first - _apply(self.gain.swapaxes(-1, -2), last))
        rest = self.diagonal * last - _apply(self.gain, solved)
        return np.concatenate([solved, rest], axis=-1)

    def quadratic(self, vector: FloatArray) -> FloatArray:
        """bᵀ C b for vectors b (K, E) or (E,), (V, U, K)."""
        first, last = self._split(vector)
        first = first - _apply(self.gain.swapaxes(-1, -2), last)
        forms = (first * _apply(self.inner, first)).sum(axis=-1)
        return np.asarray(forms + (self.diagonal * last**2).sum(axis=-1))

    def find_diagonal(self) -> FloatArray:
        """The diagonal of C, (V, U, K, E)."""
        of_x = np.einsum("vukii->vuki", self.inner)
        of_tasks = self.diagonal + (self.crossed * self.gain).sum(axis=-1)
        return np.concatenate([of_x, of_tasks], axis=-1)

    def eliminate(self, own: FloatArray) -> FloatArray:
        """Σ_k (L − L C L) for the diagonals of L (V, U, E), (V, U, E, E)."""
        *lead, k, d, _ = self.inner.shape
        t = self.diagonal.shape[-1]
        of_k = np.empty((*lead, d + t, d + t))
        of_k[..., :d, :d] = self.inner.sum(axis=2)
        of_k[..., d:, :d] = -self.crossed.sum(axis=2)
        of_k[..., :d, d:] = of_k[..., d:, :d].swapaxes(-1, -2)
        wide, gains = (_lay_side_by_side(blocks) for blocks in (self.crossed, self.gain))
        of_k[..., d:, d:] = wide @ gains.swapaxes(-1, -2)
        diagonal = np.arange(d + t)
        of_k[..., diagonal[d:], diagonal[d:]] += self.diagonal.sum(axis=1)
        total = -own[..., :, None] * of_k * own[..., None, :]
        total[..., diagonal, diagonal] += k * own
        return np.asarray(total)

    def _split(self, vector: FloatArray) -> tuple[FloatArray, FloatArray]:
        d = self.inner.shape[-1]
        return vector[..., :d], vector[..., d:]


def invert_bordered(
    matrix: FloatArray, border: FloatArray, weight: FloatArray, own_x: FloatArray, own_t: FloatArray
) -> BorderedInverse:
    """C of M (K, D, D), R (K, T, D) and n (K, T), for candidates of Λ (V, D) and of λ (U,)."""
    d = matrix.shape[-1]
    diagonal = 1.0 / (weight + own_t[:, None, None])
    gain = diagonal[..., None] * border
    complement = matrix - border.swapaxes(-1, -2) @ gain + own_x[:, None, None, :, None] * np.eye(d)
    inner = np.asarray(np.linalg.inv(complement), dtype=np.float64)
    log_det = np.linalg.slogdet(inner)[1] + np.log(diagonal).sum(axis=-1)
    return BorderedInverse(inner, gain, diagonal, log_det)


def _apply(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """The product of matrices (..., m, n) and vectors (..., n)."""
    product: FloatArray = (matrix @ vector[..., None])[..., 0]
    return product


def _lay_side_by_side(blocks: FloatArray) -> FloatArray:
    """Blocks (..., K, T, D) of all arms as one matrix (..., T, K D)."""
    *lead, k, t, d = blocks.shape
    return blocks.swapaxes(-2, -3).reshape(*lead, t, k * d)
