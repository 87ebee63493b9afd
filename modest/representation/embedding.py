"""One network for all modalities of a table: an encoder and a linear projector each, into one space of unit rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from modest.checks import row_numbers
from modest.data.features import Feature
from modest.data.stored import TRAINED
from modest.encoders.table import Table, table
from modest.encoders.towers import linear
from modest.encoders.trainable import Backbone, build
from modest.neighbours.device import decide
from modest.training import Batch, Batches, read_model, restore, write_model
from modest.types import Bool, Float, Int, Views

__all__ = ["FORMAT", "KIND", "ORIGIN", "Embedding", "Representation"]

KIND, FORMAT = "representation", 2
ORIGIN = TRAINED  # of its views
_BATCH = 256


class Embedding(nn.Module):
    """M encoders, each with a linear projector to ``width`` features; r_m(x) = W_m f_m(x) + b_m divided by its norm.

    Parameters
    ----------
    backbones : one per modality
    width : features of the common space
    generator : seeded, of the projectors' first weights
    projected : the encoders' own features are those of the common space, and nothing comes after them
    """

    def __init__(
        self, backbones: Sequence[Backbone], width: int, generator: torch.Generator, projected: bool = False
    ) -> None:
        super().__init__()
        self.width, self.projected = width, projected
        self.encoders = nn.ModuleList([backbone.net for backbone in backbones])
        self.projectors = nn.ModuleList(
            [nn.Identity() if projected else linear(backbone.width, width, generator) for backbone in backbones]
        )

    def forward(self, batch: Batch, m: int) -> Tensor:
        """(n, width) float unit rows of modality m; zeros where it is absent, for which nothing is computed."""
        rows = batch.present[:, m]
        if bool(rows.all()):
            every: Tensor = self.projectors[m](self.encoders[m](batch.x[m]))
            return normalize(every.float(), dim=1)
        whole = torch.zeros(len(batch), self.width, device=batch.present.device)
        if bool(rows.any()):
            projected = self.projectors[m](self.encoders[m](batch.x[m][rows]))
            whole[rows] = normalize(projected.float(), dim=1)
        return whole


class Representation:
    """What pretraining gives: encoders and projectors, ready to turn a table into views of one space.

    Parameters
    ----------
    names : of the modalities
    backbones : modality -> Backbone
    net : Embedding over them, in the same order
    about : settings of the training, for the record
    sources : "encoders" (modality -> encoder of a ready view) and "columns" (modality -> raw column) it was trained on
    """

    def __init__(
        self,
        names: Sequence[str],
        backbones: Mapping[str, Backbone],
        net: Embedding,
        about: Mapping[str, Any] | None = None,
        sources: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.names, self.backbones, self.net = tuple(names), dict(backbones), net
        self.about, self.sources = dict(about or {}), {k: dict(v) for k, v in (sources or {}).items()}

    def table(self, data: Any, memory: str | int = "2GB", seed: int = 0) -> Table:
        """Table of a Pool or Views as this representation reads it. Errors as in :func:`modest.encoders.table.table`.

        A modality that is not there at all counts as absent in every row, as long as one is there.
        """
        readings = {name: self.backbones[name].reading for name in self.names}
        views, columns = self.sources.get("encoders"), self.sources.get("columns")
        return table(data, readings, encoders=views, columns=columns, seed=seed, memory=memory, partial=True)

    def encode(
        self, data: Any, rows: Int | None = None, *, device: str | None = None, memory: str | int = "2GB"
    ) -> Views:
        """Views of one space, all in memory.

        Parameters
        ----------
        data : Pool, Views or mapping, as in pretraining; also {name: list of paths, texts or pixels} for encoders of
            raw media. A mapping may hold one side alone; the others are then absent.
        rows : (k,) rows of it; left out, all
        device : CUDA if there, when None

        Returns
        -------
        Views of (k, width) float32 unit rows per modality; absent and unreadable rows are NaN and not present.

        Raises
        ------
        ValueError
            If features are not finite, or a row is not in the table; TypeError if ``rows`` is a mask.
        """
        whole = self.table(data, memory)
        chosen = np.arange(len(whole)) if rows is None else row_numbers(rows, len(whole))
        parts = [list(self._blocks(whole, m, chosen, decide(device))) for m in range(len(self.names))]
        arrays = {name: np.concatenate(part) for name, part in zip(self.names, parts)}
        present = np.stack([~np.isnan(array[:, 0]) for array in arrays.values()], axis=1)
        return Views(arrays, None if present.all() else present, whole.ids[chosen])

    def feature(self, whole: Table, name: str, device: str | None = None) -> Feature:
        """View of one modality over a whole table on its way to disk, encoded block by block while it is read."""
        m, every, where = self.names.index(name), np.arange(len(whole)), decide(device)
        shape, told = (len(whole), self.net.width), f"{ORIGIN}{self.about.get('run', '')[:12]}"
        return Feature(shape, np.dtype(np.float32), lambda: self._blocks(whole, m, every, where), told)

    def _blocks(self, whole: Table, m: int, rows: Int, device: torch.device) -> Iterator[Any]:
        """(k, width) float32 blocks of modality m over ``rows``, NaN where absent."""
        self.net.to(device).eval()
        only: Bool = np.zeros_like(whole.present)
        only[:, m] = whole.present[:, m]
        batches = Batches(whole.columns, only, rows, size=_BATCH, shuffle=False, device=device, augment=False)
        for batch in batches.epoch():
            with torch.no_grad():
                block: Float = self.net(batch, m).cpu().numpy()
            there = batch.present[:, m].cpu().numpy()
            if not np.isfinite(block[there]).all():  # NaN is to mean absent, and nothing else
                raise ValueError(f"the encoder of {self.names[m]} gives features that are not finite; train it again.")
            block[~there] = np.nan
            yield block

    def save(self, folder: str | PathLike[str]) -> None:
        """Write ``model.safetensors`` and ``config.json`` into ``folder``, each atomically; read with modest.load."""
        modalities = [{"name": name, "backbone": dict(self.backbones[name].config)} for name in self.names]
        config = {"kind": KIND, "format": FORMAT, "width": self.net.width, "projected": self.net.projected}
        config["modalities"] = modalities
        write_model(Path(folder), self.net, {**config, "about": self.about, "sources": self.sources})

    @classmethod
    def from_config(cls, folder: Path, config: Mapping[str, Any], device: str | None = None) -> Representation:
        """Read what :meth:`save` wrote; ``modest.load`` calls it."""
        generator = torch.Generator().manual_seed(0)
        backbones = {m["name"]: build(**m["backbone"], generator=generator) for m in config["modalities"]}
        own = config.get("projected", False)  # since format 2
        net = Embedding(list(backbones.values()), int(config["width"]), generator, own)
        restore(net, read_model(folder, config))
        return cls(list(backbones), backbones, net.to(decide(device)), config["about"], config["sources"])
