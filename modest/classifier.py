"""The scikit-learn coat over the recipes of ``modest.learning``: fit, predict, look inside, save, load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from modest.checks import known
from modest.learning import METHODS, Recipe, Towers
from modest.learning.holdout import Labelled, prepare, standardise
from modest.learning.inputs import align, encode_labels, table, whole
from modest.learning.measure import Dynamics, forward, measure, softmax
from modest.neighbours.device import decide
from modest.representation import embedding
from modest.training import Batches, Plan, Run, read_config, read_model, ready, restore, write_model
from modest.training.fit import fit as train
from modest.types import Bool, Float, Record

__all__ = ["MultimodalClassifier", "load"]

KIND, FORMAT = "classifier", 1
_PREDICT_ROWS = 4096
Progress = Callable[[int, int], None]


class MultimodalClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier over several views of the same items, of which any row may lack some.

    Parameters
    ----------
    method : "mla" | "concat" | "late"
        A name of ``modest.learning.METHODS``.
    epochs, lr, batch_size, weight_decay, optimizer, schedule :
        Of the one loop; ``optimizer`` "adamw" or "sgd" (momentum 0.9), ``schedule`` "cosine", "constant" or "step".
    hidden, width :
        Sizes of the hidden layers of each modality's tower (empty = linear) and the number of features it emits.
    fill : "feature" | "zero" | "mean"
        For an absent modality: nothing at all (no pass, gradient or weight), a raw input of zeros, or the mean of the
        training rows; with the last two it speaks and has a weight like any other.
    modality_dropout : float in [0, 1]
        Share of present modalities dropped in training, never the last of a row.
    standardise : bool
        Subtract mean and divide by deviation per feature, both of the present training rows; stored in the model.
    device, options, random_state :
        CUDA if there, when None; a dict of what one recipe alone knows (its ``Options``); same seed, same model.

    Attributes
    ----------
    classes_ (C,) sorted; names_ of modalities; recipe_, trained; history_, Records of epochs; dynamics, see ``run``.
    Examples
    --------
    >>> X = {"a": np.eye(4).repeat(5, axis=0), "b": np.ones((20, 2))}
    >>> clf = MultimodalClassifier(method="late", epochs=20).fit(X, np.arange(4).repeat(5))
    >>> clf.predict({"a": np.eye(4)}).tolist()
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        *,
        method: str = "mla",
        epochs: int = 40,
        lr: float = 1e-3,
        batch_size: int = 32,
        weight_decay: float = 1e-2,
        optimizer: str = "adamw",
        schedule: str = "cosine",
        hidden: Sequence[int] = (256,),
        width: int = 128,
        fill: str = "feature",
        modality_dropout: float = 0.0,
        standardise: bool = True,
        device: str | None = None,
        options: Mapping[str, Any] | None = None,
        random_state: int = 0,
    ) -> None:
        self.method = method
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.schedule = schedule
        self.hidden = hidden
        self.width = width
        self.fill = fill
        self.modality_dropout = modality_dropout
        self.standardise = standardise
        self.device = device
        self.options = options
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any = None, validation: Any = None, groups: Any = None, progress: Progress | None = None
    ) -> MultimodalClassifier:
        """Train; see :meth:`run` for the arguments and errors. ``progress`` is called with (epochs done, in all)."""
        return self.run(X, y, validation, groups, progress=progress).result

    def run(
        self, X: Any, y: Any = None, validation: Any = None, groups: Any = None, track_items: bool = False,
        progress: Progress | None = None,
    ) -> Run[MultimodalClassifier]:
        """Prepare a training and return it: iterate for Records, ``.result`` finishes it and gives the classifier.

        Parameters
        ----------
        X : Views, Pool, mapping name -> (n, d_m), (n, d) array or DataFrame
            A Pool trains on its labelled rows of split train and validates on those of split val, if any.
        y : (n,) ints or strings
            May be left out for a Pool.
        validation : None | False | float | (n,) bool | (X, y)
            Rows that choose the best epoch: 15 % carved by class (nothing below 20 rows a class on average: all epochs
            are trained and the last one stays), nothing, a share, a mask of X's rows, or a table of its own, in which
            labels of unseen classes count as wrong.
        groups : (n,) labels, optional
            Groups (speakers, videos) that a carve must not tear.
        track_items : bool
            Keep each training row's confidence per epoch in ``dynamics``.

        Raises
        ------
        ValueError
            For an unknown method or option, lengths that differ, a row without any modality or label, NaN or inf in a
            present row (names modality and row), one class only.
        """
        data, check, classes = prepare(X, y, validation, groups, self._seed())
        widths = {name: width for name, (_, width) in data.views.shape.items()}
        recipe = self._build(widths, len(classes))
        if self.standardise:
            standardise(recipe.towers, data)
        dynamics = Dynamics(data.rows, data.y[data.rows]) if track_items else None
        plan = Plan(self.epochs, self.lr, self.optimizer, 0.9, self.weight_decay, self.schedule)
        batches = self._batches(data, training=True)
        validate = (lambda task: measure(task, self._batches(check))) if len(check.rows) else None
        history: list[Record] = []

        def records() -> Iterator[Record]:
            for record in train(recipe.stages(), batches, plan, validate, progress):
                if "losses" in record.values:
                    history.append(record)
                    if dynamics is not None:
                        dynamics.note(recipe, self._batches(data))
                yield record

        def result() -> MultimodalClassifier:
            self.recipe_, self.classes_, self.names_, self.widths_ = recipe, classes, tuple(widths), widths
            self.history_, self.dynamics = history, dynamics
            return self

        return Run(records(), result)

    def _seed(self) -> int:
        if isinstance(self.random_state, bool) or not isinstance(self.random_state, (int, np.integer)):
            raise TypeError(f"random_state is {self.random_state!r}; give an int, so that the model can be made again.")
        return int(self.random_state)

    def _build(self, widths: Mapping[str, int], classes: int) -> Recipe:
        known(self.method, METHODS, "method")
        if min(self.batch_size, self.width, *self.hidden) < 1:
            raise ValueError("batch_size, width and the sizes in hidden must all be positive; give at least 1.")
        if not 0 <= self.modality_dropout <= 1:
            raise ValueError(f"modality_dropout={self.modality_dropout} is not a share in [0, 1]; try 0.3.")
        generator = torch.Generator().manual_seed(self._seed())
        towers = Towers.over(list(widths.values()), self.width, generator, self.hidden, self.fill)
        return METHODS[self.method].build(towers, list(widths), classes, generator, self.options)

    def _batches(self, data: Labelled, training: bool = False) -> Batches:
        size = self.batch_size if training else _PREDICT_ROWS
        drop = self.modality_dropout if training else 0.0
        table = (ready(data.views), data.present, data.rows, data.y)
        return Batches(*table, size, self._seed(), training, drop, decide(self.device))

    def _logits(self, X: Any) -> tuple[Float, Float, Float, Bool]:
        """Fused (n, C), modality (M, n, C), weights (n, M), and present (n, M)."""
        if not hasattr(self, "recipe_"):
            raise NotFittedError("this classifier is not trained yet; call fit(X, y) first.")
        views = align(table(X), self.widths_)
        present = whole(views)
        data = Labelled(views, present, np.full(len(views), -1, dtype=np.int64), np.arange(len(views)))
        return *forward(self.recipe_, self._batches(data)), present

    def predict_proba(self, X: Any) -> Float:
        """(n, C) float64 probabilities in the order of ``classes_``; a modality X does not hold counts as absent."""
        return softmax(self._logits(X)[0])

    def predict(self, X: Any) -> Any:
        """(n,) most probable classes."""
        best = self._logits(X)[0].argmax(axis=1)
        return self.classes_[best]

    def modality_proba(self, X: Any) -> Float:
        """(M, n, C) probabilities of each modality on its own, NaN where it is absent."""
        _, own, _, present = self._logits(X)
        own[~present.T] = np.nan
        return softmax(own)

    def fusion_weights(self, X: Any) -> Float:
        """(n, M) weights of the fusion; rows sum to 1, 0 where absent (with ``fill="feature"``)."""
        return self._logits(X)[2]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy; a label of a class unseen in training counts as wrong."""
        views = table(X)
        numbers = encode_labels(X.labels if y is None else y, len(views), self.classes_)[1]
        return float(np.average(self._logits(views)[0].argmax(axis=1) == numbers, weights=sample_weight))

    def save(self, folder: str | PathLike[str]) -> None:
        """Write ``model.safetensors`` and ``config.json`` into ``folder``, each atomically; read with modest.load.

        An option that is a function (alpha) matters to training only and is left out.
        """
        if not hasattr(self, "recipe_"):
            raise NotFittedError("this classifier is not trained yet; call fit(X, y) before save.")
        params = self.get_params()
        params["options"] = {k: v for k, v in (self.options or {}).items() if not callable(v)} or None
        params["hidden"] = [int(size) for size in self.hidden]
        params.pop("device")
        config = {"kind": KIND, "format": FORMAT, "params": params, "widths": list(self.widths_.items())}
        config["classes"] = {"dtype": self.classes_.dtype.str, "values": self.classes_.tolist()}
        write_model(Path(folder), self.recipe_.net, config)

    @classmethod
    def _from_config(cls, folder: Path, config: Mapping[str, Any], device: str | None) -> MultimodalClassifier:
        self = cls(**{**config["params"], "hidden": tuple(config["params"]["hidden"]), "device": device})
        self.widths_ = dict(config["widths"])
        self.classes_ = np.array(config["classes"]["values"], dtype=config["classes"]["dtype"])
        self.recipe_ = self._build(self.widths_, len(self.classes_))
        restore(self.recipe_.net, read_model(folder, config))
        self.names_, self.history_, self.dynamics = tuple(self.widths_), [], None
        return self


# kind in config.json -> (newest format read, reader)
_KINDS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    KIND: (FORMAT, MultimodalClassifier._from_config),
    embedding.KIND: (embedding.FORMAT, embedding.Representation.from_config),
}


def load(folder: str | PathLike[str], device: str | None = None) -> Any:
    """Read a saved model: a MultimodalClassifier or a Representation, by its kind.

    FileNotFoundError if a file is missing; ValueError if the kind is unknown, the format newer, or a file is damaged.
    """
    path = Path(folder)
    config = read_config(path, {kind: newest for kind, (newest, _) in _KINDS.items()})
    return _KINDS[config["kind"]][1](path, config, device)
