"""The table of completions: how each is built, its options, one line of what it does, and its paper."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from torch import Tensor

from modest.completion import ae, cca, cpm, cra, dcca, dccae, dropout, filling, ifmmin, mmin, tate
from modest.learning.methods import Method
from modest.training.task import Batch

__all__ = ["METHODS", "Imagining"]


@runtime_checkable
class Imagining(Protocol):
    """A completion whose imagination can be looked at and compared with the truth."""

    def imagined(self, batch: Batch, m: int) -> Tensor:
        """(n, e_m) what it takes modality m of every row to be, from what the row has; in a space of its own."""
        ...

    def truth(self, batch: Batch, m: int) -> Tensor:
        """(n, e_m) what modality m is, in that space; only rows that have it mean anything."""
        ...


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "zero": Method(filling.filled("zero"), filling.Options, "absent views are zeros under one head", "baseline"),
        "mean": Method(
            filling.filled("mean"), filling.Options, "absent views are the mean of training rows under one head",
            "baseline",
        ),
        "dropout": Method(
            dropout.Dropout,
            dropout.Options,
            "one head over all features; every step hides some modalities",
            "Neverova et al., ModDrop: Adaptive Multi-modal Gesture Recognition, TPAMI 2016",
        ),
        "cca": Method(
            cca.CCA,
            cca.Options,
            "projections in which pairs of mean-filled views correlate most, in closed form, under a linear head",
            "Hotelling, Relations Between Two Sets of Variates, Biometrika 1936",
        ),
        "dcca": Method(
            dcca.DCCA,
            dcca.Options,
            "encoders trained to correlate over pairs of views, then a linear head",
            "Andrew et al., Deep Canonical Correlation Analysis, ICML 2013",
        ),
        "dccae": Method(
            dccae.DCCAE,
            dccae.DecodedOptions,
            "as dcca, with decoders that tell the views again",
            "Wang et al., On Deep Multi-View Representation Learning, ICML 2015",
        ),
        "ae": Method(
            ae.ae,
            ae.Options,
            "an autoencoder fills the joint features, decoders find hidden views in them, a net classifies them",
            "Bengio et al., Greedy Layer-Wise Training of Deep Networks, NIPS 2006",
        ),
        "cra": Method(
            cra.cra,
            cra.Options,
            "as ae, with a cascade of autoencoders that each correct what is still wrong",
            "Tran et al., Missing Modalities Imputation via Cascaded Residual Autoencoder, CVPR 2017",
        ),
        "mmin": Method(
            mmin.MMIN,
            mmin.Options,
            "a teacher's features of what a step hides are imagined from the rest; the code is classified",
            "Zhao et al., Missing Modality Imagination Network, ACL 2021",
        ),
        "ifmmin": Method(
            ifmmin.IFMMIN,
            ifmmin.Options,
            "as mmin, imagining with the help of features that all modalities share",
            "Zuo et al., Exploiting Modality-Invariant Feature for Robust Multimodal Emotion Recognition, 2022",
        ),
        "cpm": Method(
            cpm.CPM,
            cpm.Options,
            "every item has a latent from which its views are decoded; classes gather among the latents",
            "Zhang et al., CPM-Nets: Cross Partial Multi-View Networks, NeurIPS 2019",
        ),
        "tate": Method(
            tate.TATE,
            tate.Options,
            "a tag tells what is absent; features shared by two each, and a model that saw more is imitated",
            "Zeng et al., Robust Multimodal Sentiment Analysis via Tag Encoding of Uncertain Missing Modalities, 2022",
        ),
    }
)  # fmt: skip
