"""The scikit-learn coat over recipes (``modest.learning``) and completions: fit, predict, look inside, save, load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from modest.checks import known
from modest.completion import METHODS as COMPLETIONS
from modest.learning import METHODS as RECIPES
from modest.learning import Method
from modest.learning.assembly import Assembly, as_given, assembled
from modest.learning.course import Course
from modest.learning.holdout import Labelled, prepare, standardise, unreadable
from modest.learning.inputs import Reader, encode_labels
from modest.learning.measure import Dynamics
from modest.learning.trained import Outputs, Trained, fingerprint, recipe_over, rows_at_once
from modest.learning.warm import arrays
from modest.neighbours.device import decide
from modest.representation import embedding
from modest.training import Batches, Kept, Plan, Run, World, read_config, world
from modest.types import Float, Int

__all__ = ["METHODS", "MultimodalClassifier", "load"]

KIND, FORMAT = "classifier", 2
METHODS: Mapping[str, Method] = {**RECIPES, **COMPLETIONS}
Progress = Callable[[int, int], None]


class MultimodalClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier over several modalities of the same items, of which any row may lack some.

    Parameters
    ----------
    method : name of ``modest.learning.METHODS``, such as "mla", "concat", "late", "auto", or of ``completion.METHODS``
    encoders : None, mapping, Representation or its folder
        None: a small tower over every ready view. A mapping modality -> "mlp" (a tower), a name of
        ``modest.encoders.trainable.BACKBONES``, {"name": ..., knobs} or a Backbone trains these on a Pool's raw media;
        a Representation (``modest represent``) starts from its encoders.
    views, columns : modality -> encoder of a Pool's ready view, or raw column, where it is not the default
    epochs, warmup, lr, rates, batch_size, accumulate, weight_decay, betas, optimizer, schedule, autocast :
        Of the one loop, see :class:`modest.training.Plan`; ``rates`` by modality and "projectors", ``lr`` for the rest.
    hidden, width :
        Sizes of the hidden layers of a tower (empty = linear), and the number of features every encoder emits.
    fill : "feature" | "zero" | "mean"
        For an absent modality: nothing at all (no pass, gradient or weight), a raw input of zeros, or the mean of the
        training rows; with the last two it speaks and has a weight like any other.
    modality_dropout : share of present modalities dropped in training, never the last of a row
    standardise : subtract mean and divide by deviation of the training rows, per feature of ready views; kept
    device, options, random_state :
        CUDA if there, when None; a dict of what one recipe alone knows (its ``Options``); same seed, same model.

    Attributes
    ----------
    classes_ (C,) sorted; names_ of modalities; recipe_, trained; history_, Records of epochs; dynamics, see ``run``;
    unreadable_, modality -> row -> why raw media could not be read in training.

    Examples
    --------
    >>> X = {"a": np.eye(4).repeat(5, axis=0), "b": np.ones((20, 2))}
    >>> clf = MultimodalClassifier(method="late", epochs=20).fit(X, np.arange(4).repeat(5))
    >>> clf.predict({"a": np.eye(4)}).tolist()
    [0, 1, 2, 3]
    """

    def __init__(
        self, *, method: str = "mla", encoders: Any = None, views: Mapping[str, str] | None = None,
        columns: Mapping[str, str] | None = None, epochs: int = 40, warmup: float = 0.0, lr: float = 1e-3,
        rates: Mapping[str, float] | None = None, batch_size: int = 32, accumulate: int = 1,
        weight_decay: float = 1e-2, betas: tuple[float, float] = (0.9, 0.999), optimizer: str = "adamw",
        schedule: str = "cosine", autocast: bool = False, hidden: Sequence[int] = (256,), width: int = 128,
        fill: str = "feature", modality_dropout: float = 0.0, standardise: bool = True, device: str | None = None,
        options: Mapping[str, Any] | None = None, random_state: int = 0,
    ) -> None:  # fmt: skip
        self.method, self.encoders, self.views, self.columns = method, encoders, views, columns
        self.epochs, self.warmup, self.lr, self.rates = epochs, warmup, lr, rates
        self.batch_size, self.accumulate, self.weight_decay, self.betas = batch_size, accumulate, weight_decay, betas
        self.optimizer, self.schedule, self.autocast = optimizer, schedule, autocast
        self.hidden, self.width, self.fill, self.modality_dropout = hidden, width, fill, modality_dropout
        self.standardise, self.device, self.options, self.random_state = standardise, device, options, random_state

    def fit(
        self, X: Any, y: Any = None, validation: Any = None, groups: Any = None, progress: Progress | None = None
    ) -> MultimodalClassifier:
        """Train; see :meth:`run` for the arguments and errors. ``progress`` is called with (epochs done, in all)."""
        return self.run(X, y, validation, groups, progress=progress).result

    def run(
        self, X: Any, y: Any = None, validation: Any = None, groups: Any = None, track_items: bool = False,
        progress: Progress | None = None, checkpoint: str | PathLike[str] | None = None,
    ) -> Run[MultimodalClassifier]:  # fmt: skip
        """Prepare a training and return it: iterate for Records, ``.result`` finishes it and gives the classifier.

        Parameters
        ----------
        X : Views, Pool, mapping name -> (n, d_m), (n, d) array or DataFrame
            A Pool trains on its labelled rows of split train and validates on those of split val, if any.
        y : (n,) ints or strings; may be left out for a Pool
        validation : None | False | float | (n,) bool | (X, y)
            Rows that choose the best epoch: 15 % carved by class (nothing below 20 rows a class on average: all epochs
            are trained and the last one stays), nothing, a share, a mask of X's rows, or a table of its own, in which
            labels of unseen classes count as wrong.
        groups : (n,) labels, optional
            Groups (speakers, videos) that a carve must not tear.
        track_items : bool
            Keep each training row's confidence per epoch in ``dynamics``.
        checkpoint : file that holds the run after every epoch and from which it goes on; left to the caller

        Raises
        ------
        ValueError
            For an unknown method or option, lengths that differ, a row without any modality or label, NaN or inf in a
            present row (names modality and row), one class only, an encoder whose view or column X does not have.
        """
        if track_items and checkpoint is not None:
            raise ValueError("track_items looks at every epoch, and a run taken up skips some; leave out checkpoint.")
        made, reader, generator = self._assembled(X)
        data, check, classes = prepare(X, y, validation, groups, reader.seed, reader.read)
        recipe = recipe_over(made, METHODS[self.method], len(classes), self.fill, self.options, generator)
        if self.standardise:
            standardise(recipe.towers, data)
        dynamics = Dynamics(data.rows, data.y[data.rows]) if track_items else None
        kept = None if checkpoint is None else Kept(Path(checkpoint), fingerprint(made, data, check, self._params()))
        here, plan = world(), self._plan(made)
        batches = partial(self._batches, decide(self.device), here)
        course = Course(recipe, data, check, batches, plan, dynamics, kept, here)

        def result() -> MultimodalClassifier:
            self._keep(Trained(recipe, METHODS[self.method], classes, made, reader))
            self.unreadable_, self.history_, self.dynamics = unreadable(data, check), course.history, dynamics
            return self

        return Run(course.records(progress), result)

    def _assembled(self, X: Any) -> tuple[Assembly, Reader, torch.Generator]:
        """Encoders, untrained or pretrained, and how they read X; every parameter is looked at here."""
        known(self.method, METHODS, "method")
        if min(self.batch_size, self.width, *self.hidden) < 1:
            raise ValueError("batch_size, width and the sizes in hidden must all be positive; give at least 1.")
        if not 0 <= self.modality_dropout <= 1:
            raise ValueError(f"modality_dropout={self.modality_dropout} is not a share in [0, 1]; try 0.3.")
        if isinstance(self.random_state, bool) or not isinstance(self.random_state, (int, np.integer)):
            raise TypeError(f"random_state is {self.random_state!r}; give an int, so that the model can be made again.")
        generator = torch.Generator().manual_seed(int(self.random_state))
        sources, sizes = (self.views or {}, self.columns or {}), (self.hidden, self.width)
        return (*assembled(X, self.encoders, sources, sizes, generator, int(self.random_state)), generator)

    def _keep(self, trained: Trained) -> None:
        self.trained_, self.recipe_ = trained, trained.recipe
        self.classes_, self.names_ = trained.classes, tuple(trained.made.modules)

    def _plan(self, made: Assembly) -> Plan:
        return Plan(
            self.epochs, self.lr, self.optimizer, 0.9, self.weight_decay, self.schedule, self.betas, self.warmup,
            made.rates(self.rates or {}), self.accumulate, self.autocast, int(self.random_state),
        )  # fmt: skip

    def _batches(self, device: Any, here: World, data: Labelled, training: bool) -> Batches:
        size, drop = (self.batch_size, self.modality_dropout) if training else (rows_at_once(data.table), 0.0)
        table = (data.table.columns, data.table.present, data.rows, data.y)
        part = (here.rank, here.size) if training else (0, 1)
        return Batches(*table, size, int(self.random_state), training, drop, device, training, part=part)

    def outputs(self, X: Any, rows: Int | None = None) -> Outputs:
        """All that the model says of X, or of some rows (k,) of it, in one pass; a modality X lacks counts as absent.

        Fields and shapes stand in :class:`modest.learning.trained.Outputs`; classes are in the order of ``classes_``.
        """
        return self._fitted().outputs(X, rows, self.device)

    def arrays(self, X: Any, needs: Sequence[str], rows: Any = None, y: Any = None) -> dict[str, Any]:
        """What a warm selection needs of X, see ``modest.learning.warm``; y (n,) is None or -1 where unknown."""
        return arrays(self._fitted(), X, needs, rows, y, self.device)

    def _fitted(self) -> Trained:
        if not hasattr(self, "trained_"):
            raise NotFittedError("this classifier is not trained yet; call fit(X, y) first.")
        return self.trained_

    def predict_proba(self, X: Any) -> Float:
        """(n, C) float64 probabilities in the order of ``classes_``; a modality X does not hold counts as absent."""
        return self.outputs(X).proba

    def predict(self, X: Any) -> Any:
        """(n,) most probable classes."""
        return self._fitted().classes[self.outputs(X).proba.argmax(axis=1)]

    def modality_proba(self, X: Any) -> Float:
        """(M, n, C) probabilities of each modality on its own, NaN where it is absent."""
        return self.outputs(X).modality

    def fusion_weights(self, X: Any) -> Float:
        """(n, M) weights of the fusion; rows sum to 1, 0 where absent (with ``fill="feature"``)."""
        return self.outputs(X).weights

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy; a label of a class unseen in training counts as wrong."""
        proba = self.outputs(X).proba
        numbers = encode_labels(X.labels if y is None else y, len(proba), self.classes_)[1]
        return float(np.average(proba.argmax(axis=1) == numbers, weights=sample_weight))

    def save(self, folder: str | PathLike[str]) -> None:
        """Write ``model.safetensors`` and ``config.json`` atomically, without options that are functions (alpha)."""
        self._fitted().save(Path(folder), {"kind": KIND, "format": FORMAT, "params": self._params()})

    def _params(self) -> dict[str, Any]:
        """Parameters as JSON takes them, without the device and the encoders, which are described by themselves."""
        params = {name: value for name, value in self.get_params().items() if name not in ("device", "encoders")}
        params["options"] = {k: v for k, v in (self.options or {}).items() if not callable(v)} or None
        params["hidden"] = [int(size) for size in self.hidden]
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in params.items()}

    @classmethod
    def _from_config(cls, folder: Path, config: Mapping[str, Any], device: str | None) -> MultimodalClassifier:
        method = METHODS[known(config["params"]["method"], METHODS, "method")]
        trained = Trained.load(folder, config, method)  # first: it refuses formats that lack what is asked for below
        params: dict[str, Any] = {**config["params"], "device": device, "encoders": as_given(config["modalities"])}
        self = cls(**{**params, "hidden": tuple(params["hidden"]), "betas": tuple(params["betas"])})
        self._keep(trained)
        self.unreadable_, self.history_, self.dynamics = {}, [], None
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
