"""The encoders of a classifier, one per modality, all emitting one width, and what stands for an absent modality.

``fill`` says what happens to an absent modality: ``"feature"`` - nothing is computed for it; ``"zero"`` - its raw input
is taken as zero; ``"mean"`` - as the mean of the training rows. In the last two it is then treated as if it were there.
They are for ready views; of a picture or a text no value means nothing.

On several processes each encodes its own rows of a batch and all meet here: what a recipe sees are the features of the
whole batch, whose loss every process computes, so recipes know nothing of processes (``training/processes.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from modest.checks import known
from modest.encoders.towers import Tower
from modest.training.processes import World
from modest.training.task import Batch

__all__ = ["FILLS", "Towers"]

FILLS = ("feature", "zero", "mean")


class Towers(nn.Module):
    """One encoder per modality, all emitting ``width`` features.

    Parameters
    ----------
    encoders : modules, (k, ...) -> (k, width)
        ``encoders.Tower`` over ready views, or a backbone with its projector over raw media.
    width : features emitted, s
    fill : "feature" | "zero" | "mean"

    ``world``, the processes that train together, is set by whoever starts them.

    Raises
    ------
    ValueError
        For an unknown ``fill``, or one other than "feature" where an encoder reads raw media.
    """

    def __init__(self, encoders: Sequence[nn.Module], width: int, fill: str = "feature") -> None:
        super().__init__()
        self.width = width
        self.world = World()
        self.fill = known(fill, FILLS, "fill")
        if fill != "feature" and not all(isinstance(encoder, Tower) for encoder in encoders):
            raise ValueError(f"fill={fill!r} needs ready views, and some encoders read raw media; use fill='feature'.")
        self.encoders = nn.ModuleList(encoders)

    @classmethod
    def over(
        cls,
        inputs: Sequence[int],
        width: int,
        generator: torch.Generator,
        hidden: Sequence[int] = (),
        fill: str = "feature",
        dtype: torch.dtype = torch.float32,
    ) -> Towers:
        """Towers over ready views of ``inputs`` features each, weights drawn from ``generator``."""
        return cls([Tower(d, width, generator, hidden, dtype) for d in inputs], width, fill)

    def __len__(self) -> int:
        """Return the number of modalities, M."""
        return len(self.encoders)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, and of the features."""
        return next(self.parameters()).dtype

    def active(self, batch: Batch) -> Tensor:
        """(n, M) bool: modalities that speak, ``present`` with fill="feature", else all."""
        return batch.present if self.fill == "feature" else torch.ones_like(batch.present)

    def features(self, batch: Batch, m: int) -> tuple[Tensor, Tensor]:
        """Encode modality m: features (k, s) of the k active rows, and (n,) bool which rows they are."""
        rows = self.active(batch)[:, m]
        if not rows.any():  # no pass at all: no gradient either, so that momentum and decay leave the encoder alone
            return torch.zeros(0, self.width, dtype=self.dtype, device=rows.device), rows
        rank, size = batch.part
        here = rows[rank::size]
        x = batch.x[m][here]
        encoder = self.encoders[m]
        if self.fill == "mean" and isinstance(encoder, Tower):
            x = torch.where(batch.present[rank::size][here, m, None], x, encoder.shift)
        encoded: Tensor = encoder(x) if len(x) else torch.zeros(0, self.width, dtype=self.dtype, device=x.device)
        if size == 1:
            return encoded, rows
        return self.world.gather(encoded)[self.world.interleaved(rows)], rows

    def widths(self, names: Sequence[str]) -> list[int]:
        """Numbers of features of the ready views, d_m, for methods that imagine what a view holds.

        Raises
        ------
        ValueError
            Where an encoder reads raw media, of which there is no value to imagine.
        """
        found = []
        for name, tower in zip(names, map(self._tower, range(len(self)))):
            if tower is None:
                raise ValueError(f"{name!r} is raw media, and this method imagines ready views; embed it first.")
            found.append(len(tower.shift))
        return found

    @torch.no_grad()
    def inputs(self, batch: Batch, m: int) -> Tensor:
        """(n, d_m) what the encoder of a ready view sees: the batch's rows standardised, zero where absent."""
        tower, (rank, size) = self._tower(m), batch.part
        assert tower is not None, "widths refuses raw media"
        here = batch.present[rank::size, m, None]
        seen = torch.where(here, (batch.x[m] - tower.shift) / tower.scale, torch.zeros_like(tower.shift))
        if size == 1:
            return seen
        return self.world.gather(seen)[self.world.interleaved(torch.ones_like(batch.present[:, m]))]

    def _tower(self, m: int) -> Tower | None:
        return next((part for part in self.encoders[m].modules() if isinstance(part, Tower)), None)

    def blocks(self, batch: Batch) -> Tensor:
        """(M, n, s) features of every modality, zero in the rows where it does not speak."""
        blocks = []
        for m in range(len(self)):
            features, rows = self.features(batch, m)
            block = features.new_zeros(len(rows), self.width)
            block[rows] = features
            blocks.append(block)
        return torch.stack(blocks)
