r"""Canonical correlations of two views: directions, one in each, along which the views agree most.

References: Hotelling, *Relations Between Two Sets of Variates*, Biometrika 1936; Vinod, *Canonical Ridge and
Econometrics of Joint Production*, J. Econometrics 1976; Andrew, Arora, Bilmes, Livescu, *Deep Canonical Correlation
Analysis*, ICML 2013.

=======  ==================  ===========  ==========================================================================
symbol   here                shape        meaning
=======  ==================  ===========  ==========================================================================
S_ij     ``covariance``      (d, d)       blocks (d_i, d_j) of the covariance (divisor n - 1) of both side by side
r        ``ridge``           number       added to the variances of either view
T                            (d_i, d_j)   (S_ii + r I)^-1/2 S_ij (S_jj + r I)^-1/2 = U D V'
A, B     ``first, second``   (d_., k)     (S_ii + r I)^-1/2 U, (S_jj + r I)^-1/2 V
s        ``values``          (k,)         diagonal of D, descending: correlations of x_i A and x_j B where r = 0
=======  ==================  ===========  ==========================================================================

Signs: the entry of largest size in each column of A is positive. A direction in which a view does not vary at all
(repeated columns, constant ones) has no part in T, with a ridge or without: what new rows do there moves nothing.

Gradient. s_i = u' T v has dS_ij -> a b', dS_ii -> -s a a' / 2, dS_jj -> -s b b' / 2 with a = A_i, b = B_i (the form of
Andrew et al., which holds for each singular value that is simple and for sums over equal ones). So no decomposition is
differentiated, and nothing is divided by differences of singular values, which is where automatic gradients become NaN.
Everything is float64 inside: in float32 the inverse root of a nearly singular covariance is noise.
Cost: O(n d^2 + d^3), d = d_i + d_j.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Canonical", "canonical", "inverse_root", "scatter", "shared"]


class Canonical(NamedTuple):
    """``first`` A (d_i, k), ``second`` B (d_j, k), ``values`` s (k,); see the module."""

    first: Tensor
    second: Tensor
    values: Tensor


def scatter(first: Tensor, second: Tensor) -> Tensor:
    """(d, d) float64 cross products of the centred rows of both views side by side; n - 1 times their covariance."""
    rows = torch.cat([first, second], dim=1).double()
    rows = rows - rows.mean(dim=0)
    products: Tensor = rows.T @ rows
    return products


def inverse_root(covariance: Tensor, ridge: float) -> Tensor:
    """(d, d) symmetric (S + r I)^-1/2, zero along directions without variance."""
    values, vectors = torch.linalg.eigh(covariance)
    least = values[-1].clamp(min=0) * len(values) * torch.finfo(values.dtype).eps
    scale = torch.where(values > least, (values.clamp(min=0) + ridge).rsqrt(), torch.zeros_like(values))
    root: Tensor = (vectors * scale) @ vectors.T
    return root


def canonical(covariance: Tensor, width: int, ridge: float, k: int | None = None) -> Canonical:
    """Directions of the k largest canonical correlations, all of them by default.

    Parameters
    ----------
    covariance : (d, d) float64 of both views side by side
    width : of the first view, d_i
    ridge : r >= 0
    k : at most min(d_i, d_j)

    Examples
    --------
    >>> S = torch.tensor([[1.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
    >>> [round(float(found), 6) for found in canonical(S, 1, ridge=0.0)]
    [1.0, 1.0, 0.6]
    """
    own, other = (inverse_root(part, ridge) for part in (covariance[:width, :width], covariance[width:, width:]))
    left, values, right = torch.linalg.svd(own @ covariance[:width, width:] @ other, full_matrices=False)
    first, second = (own @ left)[:, :k], (other @ right.T)[:, :k]
    largest = first.gather(0, first.abs().argmax(dim=0, keepdim=True))
    sign = torch.where(largest < 0, -1.0, 1.0).to(first)
    return Canonical(first * sign, second * sign, values[:k])


def shared(
    covariance: Tensor, width: int, ridge: float, top: int | None = None, squared: bool = False
) -> Tensor:
    """() sum of the singular values of T, with their gradient in ``covariance``.

    Parameters
    ----------
    covariance, width, ridge : as for :func:`canonical`
    top : how many of the largest count; all by default
    squared : sum of squares, as in cca_zoo

    Examples
    --------
    >>> S = torch.eye(4, dtype=torch.float64, requires_grad=True)
    >>> shared(S, 2, ridge=0.0).backward()
    >>> bool(S.grad.isfinite().all())
    True
    """
    first, second, values = canonical(covariance.detach(), width, ridge, top)
    across = (first * (covariance[:width, width:] @ second)).sum(dim=0)
    own = (first * (covariance[:width, :width] @ first)).sum(dim=0)
    own = own + (second * (covariance[width:, width:] @ second)).sum(dim=0)
    slope = 2 * values if squared else torch.ones_like(values)
    tangent = (slope * (across - values * own / 2)).sum()
    return (values**2 if squared else values).sum() + tangent - tangent.detach()
