r"""Unimodal prototypes: each modality's features are drawn to the centre of their own cluster, away from other centres.

Helps to make the densities of the modalities alike. Reference: Shen et al. 2024 (see ``infonce``), Eq. 2-3, which
follows Li et al., *Prototypical Contrastive Learning of Unsupervised Representations*, ICLR 2021 (PCL).

======  ==================  ========  ==========================================================
paper   here                shape     meaning
======  ==================  ========  ==========================================================
r^m     ``r``, ``features`` (n, d)    features of one modality, unit rows
p_c     ``prototypes``      (C, d)    centres of k-means, divided by their norm; constants
c_i     ``assignment``      (n,)      cluster of row i
phi_c   ``concentration``   (C,)      how loose a cluster is; the temperature of its prototype
alpha   ``alpha``           scalar    10, keeps small clusters from a huge phi
======  ==================  ========  ==========================================================

Equations, with centroid m_c not divided by its norm, n_c its members:

    phi_c = mean_{i in c} ||r_i - m_c|| / log(n_c + alpha)                                                   (3)
    L = -mean_i log [ exp(c(r_i, p_{c_i}) / phi) / sum_j exp(c(r_i, p_{c_j}) / phi) ]                        (2)

Where the print is silent or wrong we follow PCL's code and say so. phi: clusters of at most one member get the largest
phi of the others, then phi is clipped to its 10th and 90th percentile and rescaled to the mean tau - the one reading in
which the paper's "tau in Eq. 1, 2" is true, for Eq. 2 holds no other tau. ``phi="column"`` divides each prototype's
column by its own phi (PCL); ``"anchor"`` all columns of a row by the phi of its own cluster (as printed).
``negatives="in_batch"``: the prototypes of the batch's rows (as printed); ``"all"``: all C; numbers of further
clusters: those besides the batch's (PCL). ``duplicates="masked"``
leaves other rows of the anchor's own cluster out of its denominator; ``"kept"`` (as printed, and as PCL runs) makes an
anchor's own prototype its negative, so that the loss cannot fall below log(1 + copies).

Cost: k-means n C d per round; the loss k x k d, or k C d.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from modest.checks import known
from modest.neighbours.kmeans import assign, kmeans
from modest.neighbours.rows import Rows
from modest.types import Views

__all__ = ["Prototypes", "cluster", "concentration", "prototype_loss"]

ROWS_PER_CENTRE = 1000


@dataclass(frozen=True)
class Prototypes:
    """``centroids`` (C, d) of k-means; ``assignment`` (n,) int64 of every row; ``concentration`` (C,)."""

    centroids: Tensor
    assignment: Tensor
    concentration: Tensor


def concentration(
    features: Tensor, centroids: Tensor, assignment: Tensor, alpha: float = 10.0, temperature: float = 0.07
) -> Tensor:
    """Concentration of each cluster, (C,), Eq. 3 with PCL's clip and rescaling; in the dtype of the features.

    Parameters
    ----------
    features : (n, d) unit rows
    centroids : (C, d), not divided by their norm
    assignment : (n,) int64 in [0, C)
    alpha : smoothing, as printed 10
    temperature : the mean that phi is rescaled to

    Raises
    ------
    ValueError
        If no cluster has two members: there is nothing to measure looseness by.
    """
    count = torch.bincount(assignment, minlength=len(centroids))
    distance = torch.linalg.vector_norm(features - centroids[assignment], dim=1)
    total = torch.zeros(len(centroids), dtype=features.dtype, device=features.device).index_add_(
        0, assignment, distance
    )
    phi = total / count.clamp_min(1) / torch.log(count.to(features.dtype) + alpha)
    several = count > 1
    if not bool(several.any()):
        raise ValueError(f"no cluster of {len(centroids)} has two members; ask for fewer prototypes.")
    phi = torch.where(several, phi, phi[several].max())
    low, high = torch.quantile(phi, torch.tensor([0.1, 0.9], dtype=phi.dtype, device=phi.device))
    phi = phi.clamp(low, high)
    mean = phi.mean()
    if float(mean) == 0.0:  # every cluster is a point: all are equally tight
        return torch.full_like(phi, temperature)
    # a cluster of exact copies beside loose ones may be clipped to 0, which no logit can be divided by
    return (temperature * phi / mean).clamp_min(1e-3 * temperature)


def prototype_loss(
    r: Tensor,
    prototypes: Tensor,
    assignment: Tensor,
    concentration: Tensor,
    negatives: Literal["in_batch", "all"] | Tensor = "in_batch",
    phi: Literal["column", "anchor"] = "column",
    duplicates: Literal["masked", "kept"] = "masked",
) -> Tensor:
    """Prototypical loss of one modality, Eq. 2: the mean over k rows, a scalar.

    Parameters
    ----------
    r : (k, d) features of the batch; normalised inside
    prototypes : (C, d) centres of all clusters; normalised inside
    assignment : (k,) int64, the cluster of each row
    concentration : (C,) phi of all clusters
    negatives : "in_batch" | "all" | (s,) int64 clusters to set against the rows besides those of the batch
    phi, duplicates : see the module; ``duplicates`` does not matter to "all"

    Raises
    ------
    ValueError
        For an unknown choice.

    Examples
    --------
    >>> r, p = torch.eye(2), torch.eye(2)
    >>> round(float(prototype_loss(r, p, torch.tensor([0, 1]), torch.ones(2))), 4)  # log(1 + 1/e)
    0.3133
    """
    sampled = isinstance(negatives, Tensor)
    known("in_batch" if sampled else str(negatives), ("in_batch", "all"), "negatives")
    known(phi, ("column", "anchor"), "phi")
    known(duplicates, ("masked", "kept"), "duplicates")
    logits = normalize(r, dim=1) @ normalize(prototypes, dim=1).T
    own = assignment[:, None]
    scaled = logits / (concentration[assignment][:, None] if phi == "anchor" else concentration)
    positive = scaled.gather(1, own)[:, 0]
    if not sampled and negatives == "all":
        return (torch.logsumexp(scaled, dim=1) - positive).mean()
    others = torch.cat([assignment, negatives]) if isinstance(negatives, Tensor) else assignment
    columns = scaled[:, others]
    if duplicates == "masked":
        same = own == others
        same.fill_diagonal_(False)
        columns = columns.masked_fill(same, -torch.inf)
    return (torch.logsumexp(columns, dim=1) - positive).mean()


def cluster(
    features: Tensor, count: int, seed: int = 0, temperature: float = 0.07, memory: str | int = "2GB"
) -> Prototypes:
    """Prototypes of one modality: k-means (20 rounds, 5 restarts) on unit rows, Euclidean, and the concentration.

    Parameters
    ----------
    features : (n, d) unit rows
    count : C, at most n
    seed : of the restarts; the same in every epoch, as in PCL
    temperature : see :func:`concentration`
    memory : of tiles; at most 1000 rows a centre, evenly spaced, are clustered, all are assigned

    Raises
    ------
    ValueError
        If there are fewer than two rows a prototype on average.
    """
    if 2 * count > len(features) or count < 1:
        raise ValueError(f"prototypes={count} for {len(features)} rows; give between 1 and half the rows.")
    rows = Rows(Views({"r": features}), unit=False, memory=memory, device=str(features.device), precision="float32")
    every = max(1, -(-len(features) // (count * ROWS_PER_CENTRE)))
    centres = kmeans(rows, count, np.arange(0, len(features), every), seed=seed)
    label = torch.cat([assign(block, centres, len(block))[0] for _, block in rows.tiles()])
    centroids = centres.x.to(features)
    return Prototypes(centroids, label, concentration(features, centroids, label, temperature=temperature))
