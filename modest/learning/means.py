r"""The mean feature h_m that MLA's projector takes in: of the batch, smoothed over batches, or of the data set.

Reference: MLA (see ``mla.py``), Eq. 3, where h is the mean over all N_m items of modality m; that would cost a pass
over the data in every step, and the released code takes the batch.

=============  ======================================================================================================
``batch``      h = mean of the features f_1 ... f_k of the step's present rows
``ema``        h <- beta h + (1 - beta) mean(f); the modality's first batch is taken as it is
``dataset``    h = (S + (N - c) h') / N, where S and c are the sum and number of the features seen in this epoch, h' and
               N the mean and number of those of the epoch before; S / c in the first epoch
=============  ======================================================================================================

``dataset`` costs O(s) memory and no pass. At the end of an epoch it is the mean over all rows, each encoded when it was
last met; in between, rows still to come are taken to have the mean they had in the epoch before.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from modest.checks import known

__all__ = ["MEANS", "MeanFeature"]

MEANS = ("batch", "ema", "dataset")


class MeanFeature:
    """Mean features of ``count`` modalities of width ``dim``, one by one as their batches come.

    Parameters
    ----------
    kind : "batch" | "ema" | "dataset"
    beta : weight of the past, of ema

    Examples
    --------
    >>> mean = MeanFeature("ema", 1, 2, beta=0.5)
    >>> mean(0, torch.tensor([[2.0, 0.0], [4.0, 0.0]])).tolist(), mean(0, torch.tensor([[1.0, 2.0]])).tolist()
    ([3.0, 0.0], [2.0, 1.0])
    """

    def __init__(self, kind: str, count: int, dim: int, beta: float = 0.9) -> None:
        self.kind = known(kind, MEANS, "mean")
        self.beta = beta
        self._mean = torch.zeros(count, dim, dtype=torch.float64)  # ema; or h' of the epoch before
        self._known = torch.zeros(count, dtype=torch.float64)  # whether there is one; or N
        self._sum, self._seen = torch.zeros_like(self._mean), torch.zeros_like(self._known)

    def start_epoch(self) -> None:
        """Tell that an epoch begins."""
        met = self._seen > 0
        self._mean[met] = self._sum[met] / self._seen[met, None]
        self._known[met] = self._seen[met]
        self._sum.zero_()
        self._seen.zero_()

    def __call__(self, m: int, features: Tensor) -> Tensor:
        """Mean (s,) after a batch (k, s), k >= 1, of modality m."""
        batch = features.detach().mean(dim=0)
        if self.kind == "batch":
            return batch
        h = batch.to("cpu", torch.float64)
        if self.kind == "ema":
            self._mean[m] = self.beta * self._mean[m] + (1 - self.beta) * h if self._known[m] else h
            self._known[m] = 1
            return self._mean[m].to(features)
        self._sum[m] += len(features) * h
        self._seen[m] += len(features)
        rest = torch.clamp(self._known[m] - self._seen[m], min=0)
        mean = (self._sum[m] + rest * self._mean[m]) / (self._seen[m] + rest)
        return mean.to(features)

    def state(self) -> dict[str, Tensor]:
        """What :meth:`load_state` needs to go on from here."""
        return {"mean": self._mean, "known": self._known, "sum": self._sum, "seen": self._seen}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        self._mean, self._known, self._sum, self._seen = (state[k] for k in ("mean", "known", "sum", "seen"))
