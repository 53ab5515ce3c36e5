"""Inverses of symmetric matrices that are diagonal but for a border, for all candidates of a prior at once.

A precision of features and tasks has a border R (T, D), a diagonal n (T,), and priors ρ of the bias, 1/v of
the other features and λ of tasks::

    A = | M + Λ   Rᵀ    |      C = A⁻¹ = W Δ Wᵀ + | 0   0       |      H = (n + λ)⁻¹
        | R       n + λ |                         | 0   diag(H) |      W = [N, −H R N]

N Δ Nᵀ is the inverse of M + Λ − Rᵀ H R. Its bias is eliminated, and the eigenvectors Q of what is left serve
for every v, because Λ is a multiple of the identity there. With s = (s₀₀, h s₀₀) its first row::

    N = | 1/√s₀₀   −hᵀQ |      Δ = (1, 1/(e + 1/v)),    e the eigenvalues
        | 0         Q   |

So T tasks and V candidates cost O(T D² + D³ + V D), not O(V (D + T)³) (Golub & Van Loan, Matrix Computations,
3.2.11).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandit_router.types import FloatArray


@dataclass(frozen=True, eq=False)
class BorderedInverse:
    """C of K arms, for U candidates of λ and V of v; vectors have E = D + T entries, tasks behind features.

    ``basis`` is W (U, K, E, D), ``scale`` is Δ (U, K, V, D), ``diagonal`` is H (U, K, T) and ``log_det`` is
    log |C| (U, K, V).
    """

    basis: FloatArray
    scale: FloatArray
    diagonal: FloatArray
    log_det: FloatArray

    def multiply(self, vectors: FloatArray) -> FloatArray:
        """C b for vectors b that broadcast to (U, K, V, E)."""
        product = (self.scale * (vectors @ self.basis)) @ self.basis.swapaxes(-1, -2)
        product[..., self._tasks] += self.diagonal[:, :, None] * vectors[..., self._tasks]
        return np.asarray(product)

    def quadratic(self, vectors: FloatArray) -> FloatArray:
        """bᵀ C b (U, K, V) for vectors b that broadcast to (U, K, V, E)."""
        of_tasks = (self.diagonal[:, :, None] * vectors[..., self._tasks] ** 2).sum(axis=-1)
        return np.asarray((self.scale * (vectors @ self.basis) ** 2).sum(axis=-1) + of_tasks)

    def find_diagonal(self) -> FloatArray:
        """The diagonal of C, (U, K, V, E)."""
        diagonal = self.scale @ (self.basis**2).swapaxes(-1, -2)
        diagonal[..., self._tasks] += self.diagonal[:, :, None]
        return np.asarray(diagonal)

    def take(self, u: int) -> BorderedInverse:
        """C for one candidate of λ alone (U = 1)."""
        parts = self.basis, self.scale, self.diagonal, self.log_det
        return BorderedInverse(*(part[u : u + 1] for part in parts))

    @property
    def _tasks(self) -> slice:
        return slice(self.scale.shape[-1], None)


def invert_bordered(
    matrix: FloatArray,
    border: FloatArray,
    weight: FloatArray,
    *,
    of_bias: float,
    of_features: FloatArray,
    of_tasks: FloatArray,
) -> BorderedInverse:
    """C of M (K, D, D), R (K, T, D) and n (K, T), for a ρ and candidates of 1/v (V,) and of λ (U,)."""
    diagonal = 1.0 / (weight + of_tasks[:, None, None])
    gain = diagonal[..., None] * border
    complement = matrix - border.swapaxes(-1, -2) @ gain
    level = complement[..., 0, 0] + of_bias
    slope = complement[..., 0, 1:] / level[..., None]
    rest = complement[..., 1:, 1:] - level[..., None, None] * slope[..., :, None] * slope[..., None, :]
    values, vectors = np.linalg.eigh(rest)
    d, t = matrix.shape[-1], weight.shape[-1]
    basis = np.zeros((*level.shape, d + t, d))
    basis[..., 0, 0] = 1.0 / np.sqrt(level)
    basis[..., 0, 1:] = -(slope[..., None, :] @ vectors)[..., 0, :]
    basis[..., 1:d, 1:] = vectors
    np.matmul(gain, -basis[..., :d, :], out=basis[..., d:, :])
    scale = np.ones((*level.shape, len(of_features), d))
    scale[..., 1:] = 1.0 / (np.maximum(values, 0.0)[..., None, :] + of_features[:, None])  # less is rounding
    log_det = np.log(scale).sum(axis=-1) + (np.log(diagonal).sum(axis=-1) - np.log(level))[..., None]
    return BorderedInverse(basis, scale, diagonal, log_det)
