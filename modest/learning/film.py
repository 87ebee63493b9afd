r"""FiLM: one modality scales and shifts the features of every other, feature by feature, before a joint head.

Helps where one modality says how another is to be read (a question and its picture); a baseline elsewhere.
Reference: Perez, Strub, de Vries, Dumoulin, Courville, *FiLM: Visual Reasoning with a General Conditioning Layer*,
AAAI 2018, as a fusion head in the comparisons of OGM-GE (CVPR 2022) and MLA.

=============  ==================  ===============  ================================================
paper          here                shape            meaning
=============  ==================  ===============  ================================================
x              ``condition``       (n, s)           features of the conditioning modality, one for all
y              the others          (n, s) each      features that are modulated, M - 1 of them
gamma, beta    ``fc`` per other    (n, s) each      the two halves of one linear layer of x
\              ``fc_out``          (C, (M - 1) s)   head over the modulated features side by side
=============  ==================  ===============  ================================================

Equations: (gamma_m, beta_m) = fc_m(x); z = fc_out([gamma_m * y_m + beta_m for every other m]);
loss = mean_i CE(z_i, y_i), see ``joint.py``. With two modalities fc_out reads one result.

Where we depart. FiLM modulates maps inside a network, here as in OGM-GE's comparison the last features, and with gamma,
not 1 + gamma. More than two modalities are ours: each other one has a layer fc_m of its own.

Absence: an absent modality is a zero feature, nothing else. Without the conditioning one gamma and beta are the bias of
fc, the same in all rows; without a modulated one beta still reaches the head. A modality alone is the head with the
features of all others set to zero: what is predicted where only it is present. Cost: one pass per modality and row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from modest.checks import known
from modest.encoders.towers import linear
from modest.learning.joint import Joined, Joint
from modest.learning.towers import Towers

__all__ = ["Options", "alone", "conditioning", "film", "join"]


@dataclass(frozen=True)
class Options:
    """``condition``: name of the modality that modulates all others; the first one, when None."""

    condition: str | None = None


def conditioning(options: Options, names: Sequence[str], method: str) -> tuple[int, list[int]]:
    """Place of the conditioning modality, and the places of those it modulates.

    Raises
    ------
    ValueError
        If there is only one modality, or none of the name given.
    """
    if len(names) < 2:
        raise ValueError(f"method={method!r} lets one modality modulate others and there is one only; use 'concat'.")
    condition = names[0] if options.condition is None else options.condition
    place = list(names).index(known(condition, names, "options['condition']"))
    return place, [m for m in range(len(names)) if m != place]


def join(head: nn.Module, blocks: Tensor, active: Tensor, condition: int = 0) -> Tensor:
    """(n, C) of a ``head`` with a list of layers ``fc`` (s -> 2 s), one per modulated modality, and ``fc_out``."""
    modulated = [block for m, block in enumerate(blocks) if m != condition]
    parts = []
    for layer, y in zip(head.get_submodule("fc").children(), modulated):
        gamma, beta = layer(blocks[condition]).chunk(2, dim=1)
        parts.append(gamma * y + beta)
    joined: Tensor = head.get_submodule("fc_out")(torch.cat(parts, dim=1))
    return joined


def alone(join: Joined, head: nn.Module, blocks: Tensor, active: Tensor) -> Tensor:
    """(M, n, C): what ``join`` gives for each modality when the features of all others are zero."""
    spoken = []
    for m, block in enumerate(blocks):
        only = torch.zeros_like(blocks)
        only[m] = block
        spoken.append(join(head, only, active))
    return torch.stack(spoken)


def film(towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options) -> Joint:
    """The recipe, untrained."""
    condition, others = conditioning(options, names, "film")
    s, dtype = towers.width, towers.dtype
    layers = nn.ModuleList([linear(s, 2 * s, generator, dtype) for _ in others])
    head = nn.ModuleDict({"fc": layers, "fc_out": linear(s * len(others), classes, generator, dtype)})
    modulate = partial(join, condition=condition)
    return Joint("film", towers, head, modulate, partial(alone, modulate))
