r"""Stage 1: encoders trained on the unlabelled pool so that modalities agree and each keeps its own clusters.

Reference: Shen et al. 2024, sections 3.2, 4.3, 6.1 (Eq. 1-4); the schedule of the prototypes is PCL's (Li et al. 2021).

Equation: L = 1/2 L_cross + 1/2 L_uni after the warm-up, L_cross alone before; L_cross is ``infonce.cross_modal``, L_uni
the mean over modalities of ``prototypes.prototype_loss``. A batch that holds only one of the two takes it whole. Any
number of modalities; an absent one has no pass, no loss and no gradient.

``cluster_on="eval"`` (PCL): each epoch after the warm-up begins with a pass over all rows, encoders in evaluation mode
and rows unaugmented, whose features are clustered. ``"epoch"``: the features that the past epoch's steps computed
anyway are clustered, augmented and a little stale, and the pass is saved.

Where the paper is silent: the weight of L_cross during warm-up is 1; the momentum encoder of PCL, which the paper never
mentions, is left out; the negatives are the whole batch, gathered from all processes.
Cost per step: a pass per modality and row, M (M - 1) / 2 products k x k x d, M of the prototypes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modest.checks import known
from modest.representation.embedding import Embedding
from modest.representation.infonce import cross_modal
from modest.representation.prototypes import Prototypes, cluster, prototype_loss
from modest.training import Batch, Batches, World

__all__ = ["Objective", "Pretraining"]

ROWS_PER_PROTOTYPE = 45  # 36 to 46 in the paper's three sets


@dataclass(frozen=True)
class Objective:
    """What is minimised.

    ``prototypes``: clusters per modality, 0 for none, None for one per 45 rows; ``temperature`` tau; ``cluster_on``,
    ``negatives``, ``phi``, ``duplicates``: see this module and ``prototypes``; ``warmup`` epochs without L_uni,
    None for those of the learning rate, and at most all but the last.

    Raises
    ------
    ValueError
        For an unknown choice or a number out of range.
    """

    prototypes: int | None = None
    temperature: float = 0.07
    cluster_on: str = "eval"
    negatives: str = "in_batch"
    phi: str = "column"
    duplicates: str = "masked"
    warmup: float | None = None

    def __post_init__(self) -> None:
        """Check names and numbers."""
        known(self.cluster_on, ("eval", "epoch"), "cluster_on")
        known(self.negatives, ("in_batch", "all"), "negatives")
        known(self.phi, ("column", "anchor"), "phi")
        known(self.duplicates, ("masked", "kept"), "duplicates")
        if not self.temperature > 0:
            raise ValueError(f"temperature={self.temperature} is not positive; the paper takes 0.07.")
        if self.prototypes is not None and self.prototypes < 0:
            raise ValueError(f"prototypes={self.prototypes} is negative; 0 trains without them.")

    def count(self, rows: int) -> int:
        """Clusters for a modality that ``rows`` rows have."""
        return max(1, rows // ROWS_PER_PROTOTYPE) if self.prototypes is None else self.prototypes

    def check(self, epochs: int, rows: Mapping[str, int]) -> None:
        """Refuse prototypes that would never begin, and what the first clustering, epochs later, could not do.

        Parameters
        ----------
        epochs : of the training
        rows : modality -> training rows that have it

        Raises
        ------
        ValueError
            If no epoch begins after the warm-up, or a modality has fewer than two rows a prototype.
        """
        if self.prototypes != 0 and (self.warmup or 0) > epochs - 1:
            told = f"warmup={self.warmup} of {epochs} epochs leaves none that begins with prototypes"
            raise ValueError(f"{told}; shorten it, or ask for none with prototypes=0.")
        for name, count in rows.items():
            if self.prototypes and 2 * self.prototypes > count:
                raise ValueError(f"prototypes={self.prototypes} for {count} rows of {name}; give at most half of them.")


class Pretraining:
    """Stage 1 as the one loop's task.

    Parameters
    ----------
    names : of the modalities
    net : Embedding
    objective : Objective
    still : batches of all training rows in order, unaugmented, for the pass before clustering; this process's part
    seed : of k-means
    world : the processes; the loss is that of their batches put together
    """

    name = "pretrain"

    def __init__(
        self, names: Sequence[str], net: Embedding, objective: Objective, still: Batches, seed: int, world: World
    ) -> None:
        self.names, self.objective = tuple(names), objective
        self.net: nn.Module = net
        self._width = net.width
        self._still, self._seed, self._world = still, seed, world
        self.clusters: dict[int, Prototypes] = {}
        k = len(still.rows)
        # place of a row of the table among the k training rows, -1 = none of them
        self._place = torch.full((len(still.present),), -1, dtype=torch.int64)
        self._place[torch.from_numpy(still.rows)] = torch.arange(k)
        self._assignment = torch.full((len(names), k), -1, dtype=torch.int64)
        # features of the past epoch, for cluster_on="epoch"
        keeps = objective.cluster_on == "epoch" and objective.prototypes != 0
        self._bank = torch.full((len(names), k if keeps else 0, self._width), torch.nan)

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: everything."""
        return {"all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn, unless the batch holds no pair and no prototype."""
        if batch.index == 0 and batch.epoch >= (self.objective.warmup or 0) and self.objective.prototypes != 0:
            self._recluster()
        rows = self._world.gather(self._places(batch))
        present = self._world.gather(batch.present)
        r = [self._world.gather(self.net(batch, m)) for m in range(len(self.names))]
        if len(self._bank[0]):
            for m, features in enumerate(r):
                there = present[:, m]
                self._bank[m, rows[there].cpu()] = features[there].detach().cpu()
        with exact(batch.present.device):
            cross = cross_modal(r, present, self.objective.temperature)
            uni = self._unimodal(r, present, rows)
        parts = [part for part in (cross, uni) if part is not None]
        if parts:
            yield "all", torch.stack(parts).mean()

    def _unimodal(self, r: Sequence[Tensor], present: Tensor, rows: Tensor) -> Tensor | None:
        """Mean over modalities of the prototypical loss; ``rows`` by place. None before the first clustering."""
        losses, o = [], self.objective
        for m, found in self.clusters.items():
            own = self._assignment[m][rows.cpu()].to(rows.device)
            there = present[:, m] & (own >= 0)
            if bool(there.any()):
                losses.append(
                    prototype_loss(
                        r[m][there],
                        found.centroids,
                        own[there],
                        found.concentration,
                        o.negatives,  # type: ignore[arg-type]
                        o.phi,  # type: ignore[arg-type]
                        o.duplicates,  # type: ignore[arg-type]
                    )
                )
        return torch.stack(losses).mean() if losses else None

    def _recluster(self) -> None:
        """Prototypes of every modality from one set of features; process 0 decides, all take its answer."""
        device = next(self.net.parameters()).device
        banked = self.objective.cluster_on == "epoch" and not bool(self._bank.isnan().all())
        features = self._bank if banked else self._pass()
        for m in range(len(self.names)):
            there = torch.nonzero(~features[m, :, 0].isnan())[:, 0]
            count = self.objective.count(len(there))
            if self.objective.prototypes is None and len(there) < 2:
                continue  # nobody to cluster: the modality goes without
            with exact(device):
                found = cluster(features[m, there].to(device), count, self._seed, self.objective.temperature)
            shared = [self._world.share(x) for x in (found.centroids, found.assignment, found.concentration)]
            self.clusters[m] = Prototypes(*shared)
            self._assignment[m] = -1
            self._assignment[m, there] = shared[1].cpu()

    def _pass(self) -> Tensor:
        """(M, k, width) features of the training rows in evaluation mode, NaN where absent."""
        was, out = self.net.training, torch.full((len(self.names), len(self._still.rows), self._width), torch.nan)
        self.net.eval()
        with torch.no_grad():
            for batch in self._still.epoch():
                rows, present = self._world.gather(self._places(batch)).cpu(), self._world.gather(batch.present).cpu()
                for m in range(len(self.names)):
                    features = self._world.gather(self.net(batch, m)).cpu()
                    out[m, rows[present[:, m]]] = features[present[:, m]].float()
        self.net.train(was)
        return out

    def _places(self, batch: Batch) -> Tensor:
        assert batch.rows is not None, "batches of the loop carry their rows"
        return self._place[batch.rows.cpu()].to(batch.rows.device)

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def state(self) -> Mapping[str, Tensor]:
        """Features of the past epoch; prototypes are made anew at the beginning of the next one."""
        return {"bank": self._bank}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        if state["bank"].shape != self._bank.shape:
            raise ValueError("the checkpoint holds features of other rows; remove it to train from the start.")
        self._bank = state["bank"]


def exact(device: torch.device) -> torch.autocast:
    """Full precision within autocast: cosines divided by a small temperature, and distances, lose too much in bf16."""
    return torch.autocast(device.type, enabled=False)
