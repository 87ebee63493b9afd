"""What a bench does, written down before it runs: sets, methods, budgets, seeds, learner, and where results go.

The budget protocol. A pool is the training rows only. A seed redraws a subsample of the pool, the selection's seed and
the learner's seed; the test rows stay the same. A budget that is a share buys floor(share * pool) items, but never
fewer than one per class and never more than the subsample; an int buys just that many. Under a budget no validation row
is looked at: the probe's C and the recipes' arguments are fixed beforehand, here.

With ``rounds`` the budgets of one (set, missing rate, seed, method) are one chain: what a budget buys is what the one
before bought, and more, chosen with what those labels taught. Without, every budget is spent at once.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from modest import selection
from modest.bench.sets import Ground, LabelledViews
from modest.checks import known
from modest.classifier import METHODS as LEARNERS
from modest.classifier import MultimodalClassifier
from modest.data.files import read_json
from modest.rounds import JOIN, Way

PROBE = "probe"
SUPERVISED, SEMI_SUPERVISED = "supervised", "semi_supervised"


class Protocol(BaseModel):
    """A bench, in full. Everything but ``out`` is fixed once the folder ``out`` exists.

    Parameters
    ----------
    pool : path of a pool, or mapping name -> path or LabelledViews
        One set or several.
    out : path
        Folder of the results; made if missing, resumed if it holds the same protocol.
    methods : names of ``modest.selection.METHODS``
        With ``rounds`` also warm ones, and two as ``"maxherding+badge"``: the first of them chooses the first round.
    budgets : shares in (0, 1] (float) or counts (int)
    seeds : int
        Seeds 0 .. seeds - 1.
    subsample : share of the pool that a seed draws
    learner : 'probe', a name of ``modest.classifier.METHODS``, or several of them
        Recipes stand on the views. ``<recipe>@supervised`` trains ``encoders`` from scratch on the pool's raw media,
        ``<recipe>@semi_supervised`` goes on from the encoders of ``start``; neither takes modalities away.
    encoders : modality -> encoder with knobs, as MultimodalClassifier takes them, for ``@supervised``
    start : folder of a Representation, trained on the pool without labels, for ``@semi_supervised``
    rounds : whether later budgets build upon earlier ones, as above
    first : cold method of the first round of warm methods whose name does not say it
    warm : 'probe', or keyword arguments of a concat ``MultimodalClassifier``
        Who answers for what is bought when a method asks for warm arrays: it is fitted on these labels alone, without
        validation rows, on the views. Left out: the probe where it is the only learner, else a concat classifier.
    missing : shares of modality cells taken away, in training and test rows alike, on top of what the set lacks
    knobs : mapping method -> keyword arguments of its selection
    classifier : keyword arguments of ``MultimodalClassifier`` for recipes
    c : float
        Inverse regularisation of the probe's logistic regression; fixed beforehand, never tuned.
    test_share : share of the training rows carved off as test rows when a set has none

    Raises
    ------
    ValueError
        One sentence about the first argument that is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    pool: Path | dict[str, Path | LabelledViews]
    out: Path
    methods: tuple[str, ...] = ("auto", "random", "kcenter", "kmeans", "activeft", "mmcsal", "maxherding")
    budgets: tuple[int | float, ...] = (0.01, 0.02, 0.05, 0.10)
    seeds: int = Field(5, ge=1)
    subsample: float = Field(0.8, gt=0, le=1)
    learner: str | tuple[str, ...] = PROBE
    rounds: bool = False
    first: str = "random"
    warm: str | dict[str, Any] | None = None
    missing: tuple[float, ...] = (0.0,)
    knobs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    classifier: dict[str, Any] = Field(default_factory=dict)
    encoders: dict[str, Any] = Field(default_factory=dict)
    start: Path | None = None
    c: float = Field(1.0, gt=0)
    test_share: float = Field(0.2, gt=0, lt=1)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            told = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
            where = str(first["loc"][0]) if first["loc"] else ""  # checks of the whole name their argument themselves
            raise ValueError(told + "." if where in told else f"{where} of the protocol is wrong: {told}.") from None

    @field_validator("methods")
    @classmethod
    def _methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for name in methods:
            for part in name.split(JOIN):
                known(part, selection.METHODS, "methods")
        return _distinct(methods, "methods")

    @field_validator("knobs")
    @classmethod
    def _knobs(cls, knobs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in knobs:
            known(name, selection.METHODS, "knobs")
        return knobs

    @field_validator("warm")
    @classmethod
    def _warm(cls, warm: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
        if isinstance(warm, str):
            return known(warm, (PROBE,), "warm")
        if warm is not None and "method" in warm:
            raise ValueError("warm names a method, and the one with the arrays that selection asks for is concat")
        try:
            MultimodalClassifier(**(warm or {}))
        except TypeError as error:
            raise ValueError(f"warm holds what MultimodalClassifier does not take: {error}") from None
        return warm

    @model_validator(mode="after")
    def _rounds(self) -> Protocol:
        for name in self.methods:
            if self.rounds:
                Way.of(name, self.first)
            elif JOIN in name or not selection.METHODS[name].cold:
                raise ValueError(f"methods holds {name!r}, which needs labels of a round before; set rounds")
        return self

    @field_validator("learner")
    @classmethod
    def _learner(cls, learner: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (learner,) if isinstance(learner, str) else _distinct(learner, "learner"):
            recipe, at, way = name.partition("@")
            known(recipe if at else name, LEARNERS if at else (PROBE, *LEARNERS), "learner")
            if at:
                known(way, (SUPERVISED, SEMI_SUPERVISED), "learner's training")
        return learner

    @model_validator(mode="after")
    def _encoders(self) -> Protocol:
        for name in self.learners:
            way = name.partition("@")[2]
            if way == SUPERVISED and not self.encoders:
                raise ValueError(f"learner {name!r} needs encoders to train, e.g. {{'image': {{'name': 'resnet18'}}}}")
            if way == SEMI_SUPERVISED and self.start is None:
                raise ValueError(f"learner {name!r} needs start, the folder of a representation")
            if way and any(self.missing):
                raise ValueError(f"learner {name!r} reads the pool's own media; missing must be 0 for it")
            if way and any(isinstance(source, LabelledViews) for source in self.sets.values()):
                raise ValueError(f"learner {name!r} reads raw media, which only a pool on disk has; pool holds views")
        return self

    @field_validator("budgets")
    @classmethod
    def _budgets(cls, budgets: tuple[int | float, ...]) -> tuple[int | float, ...]:
        for budget in budgets:
            share = isinstance(budget, float)
            if not math.isfinite(budget) or budget <= 0 or (share and budget > 1):
                raise ValueError(f"budgets holds {budget}; give shares in (0, 1] or counts of at least 1")
        return _distinct(budgets, "budgets")

    @field_validator("missing")
    @classmethod
    def _missing(cls, missing: tuple[float, ...]) -> tuple[float, ...]:
        for rate in missing:
            if not 0 <= rate <= 1:
                raise ValueError(f"missing holds {rate}; give shares in [0, 1]")
        return _distinct(missing, "missing")

    @field_validator("pool")
    @classmethod
    def _pool(cls, pool: Path | dict[str, Any]) -> Path | dict[str, Any]:
        for name in pool if isinstance(pool, dict) else ():
            if not re.fullmatch(r"[\w.-]+", name):
                raise ValueError(f"pool names a set {name!r}; use letters, digits, '_', '-' and '.' only")
        if isinstance(pool, dict) and not pool:
            raise ValueError("pool names no set; give at least one")
        return pool

    @property
    def sets(self) -> dict[str, Path | LabelledViews]:
        """Sets by name; a single pool goes by the name of its folder."""
        if isinstance(self.pool, dict):
            return self.pool
        return {re.sub(r"[^\w.-]", "_", self.pool.resolve().name) or "pool": self.pool}

    @property
    def learners(self) -> tuple[str, ...]:
        """Learners, also when there is one."""
        return (self.learner,) if isinstance(self.learner, str) else self.learner

    @property
    def asked(self) -> str | dict[str, Any]:
        """Who makes warm arrays: 'probe', or the arguments of a concat classifier."""
        if self.warm is not None:
            return self.warm
        return PROBE if self.learners == (PROBE,) else {}

    def items(self, ground: Ground) -> dict[int, list[int | float]]:
        """Items each budget buys from one set -> the budgets that buy them, ascending; equal ones are run once.

        Raises
        ------
        ValueError
            If a count exceeds the subsample.
        """
        free = max(1, math.floor(self.subsample * len(ground.pool) + 1e-9))
        bought: dict[int, list[int | float]] = {}
        for budget in self.budgets:
            if isinstance(budget, int) and budget > free:
                raise ValueError(
                    f"budgets holds {budget}, but a seed's subsample of {ground.name!r} has {free} rows; ask for fewer."
                )
            share = budget if isinstance(budget, int) else math.floor(budget * len(ground.pool) + 1e-9)
            count = share if isinstance(budget, int) else min(max(share, ground.classes), free)
            bought.setdefault(count, []).append(budget)
        return dict(sorted(bought.items()))

    def described(self) -> dict[str, Any]:
        """JSON form without ``out`` and without where the sets lie (their hashes say what they are)."""
        plain = self.model_dump(mode="json", exclude={"pool", "out", "start", "rounds", "first", "warm"})
        if self.rounds:  # else they mean nothing, and benches from before there were rounds can be taken up
            plain |= {"rounds": True, "first": self.first, "warm": self.asked}
        if self.start is not None:
            plain["start"] = read_json(self.start / "config.json").get("sha256")  # its weights, wherever they lie
        return {"sets": list(self.sets), **plain, "learner": list(self.learners)}


def _distinct(values: tuple[Any, ...], argument: str) -> tuple[Any, ...]:
    """Refuse an empty tuple and repetitions."""
    if not values:
        raise ValueError(f"{argument} is empty; give at least one")
    if len(set(values)) < len(values):
        raise ValueError(f"{argument} names something twice; give each once")
    return values
