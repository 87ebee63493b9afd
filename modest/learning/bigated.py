r"""BiGated: one modality opens and shuts the features of every other, before a joint head. A baseline.

Helps where one modality says which features of another to trust. Reference: Kiela, Grave, Joulin, Mikolov, *Efficient
Large-Scale Multi-Modal Classification*, AAAI 2018, in the form of OGM-GE's comparison (CVPR 2022), as in MLA's.

=============  ==================  ===============  ==================================================
paper          here                shape            meaning
=============  ==================  ===============  ==================================================
x              ``condition``       (n, s)           features of the modality that gates all others
y              the others          (n, s) each      features that are gated, M - 1 of them
fc_x, fc_y     per other           (s, s) each      layers of the gate and of what is gated
\              ``fc_out``          (C, (M - 1) s)   head over the gated features side by side
=============  ==================  ===============  ==================================================

Equation: z = fc_out([sigmoid(fc_x,m(x)) * fc_y,m(y_m) for every other m]); loss = mean_i CE(z_i, y_i), see
``joint.py``. With two modalities fc_out reads one result.

Where we depart. Despite the name one side alone is gated, as in the code of that comparison; the bilinear part of Kiela
et al. is not there either. More than two modalities are ours: each other one has layers of its own.

Absence: an absent modality is a zero feature, nothing else. Without the conditioning one the gate stands where its bias
puts it, the same in all rows; without a gated one its layer's bias goes through the gate. A modality alone is the head
with the features of all others set to zero, as in ``film.py``. Cost: one pass per modality and row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from modest.encoders.towers import linear
from modest.learning.film import Options, alone, conditioning
from modest.learning.joint import Joint
from modest.learning.towers import Towers

__all__ = ["Options", "bigated", "join"]


def join(head: nn.Module, blocks: Tensor, active: Tensor, condition: int = 0) -> Tensor:
    """(n, C) of a ``head`` with lists of layers ``fc_x`` and ``fc_y``, one per gated modality, and ``fc_out``."""
    gated = [block for m, block in enumerate(blocks) if m != condition]
    layers = zip(head.get_submodule("fc_x").children(), head.get_submodule("fc_y").children(), gated)
    parts = [torch.sigmoid(gate(blocks[condition])) * layer(y) for gate, layer, y in layers]
    joined: Tensor = head.get_submodule("fc_out")(torch.cat(parts, dim=1))
    return joined


def bigated(towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options) -> Joint:
    """The recipe, untrained."""
    condition, others = conditioning(options, names, "bigated")
    s, dtype = towers.width, towers.dtype
    layers = {side: nn.ModuleList([linear(s, s, generator, dtype) for _ in others]) for side in ("fc_x", "fc_y")}
    head = nn.ModuleDict({**layers, "fc_out": linear(s * len(others), classes, generator, dtype)})
    gate = partial(join, condition=condition)
    return Joint("bigated", towers, head, gate, partial(alone, gate))
