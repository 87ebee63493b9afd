"""What a pairing bench does, written down before it runs.

One chain is a set, a setting, a learner, a method and a seed: T rounds of embedding the sides with the learner as it
is, choosing whom to ask, hearing the oracle, entering the ledger, and training on all pairs bought. Before any pair is
bought a learner from scratch has no common space to choose in: the first round is then the same random draw for every
method (the seed pairs S_0); from sides that share a space all methods choose from the first round on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from modest.bench.pairing.learners import LEARNERS
from modest.bench.pairing.sets import PairedSides
from modest.checks import known
from modest.pairing import METHODS

SETTINGS = ("pool", "stream")
RETRAIN = ("continue", "restart")


class PairProtocol(BaseModel):
    """A pairing bench, in full. Everything but ``out`` is fixed once the folder ``out`` exists.

    Parameters
    ----------
    pool : path of a pool whose rows have two modalities, or mapping name -> path or PairedSides
    out : path
        Folder of the results; made if missing, resumed if it holds the same protocol.
    methods : names of ``modest.pairing.METHODS``, or mapping name -> {"method": .., knobs ..}
        The second way names variants: ``{"twice": {"method": "acquire", "candidates": "2B"}}``. A knob written as a
        number and B is that many times the budget of a round.
    setting : 'pool', 'stream', or both
        A stream shows ``buffer`` hidden pairs at a time, each once; its rounds are its buffers.
    learner : 'ridge', 'towers', or both
    retrain : 'continue' (from the last round's result) or 'restart' (from the first one)
    budget : queries a round, a share of the pool's hidden pairs or a count
        In a stream a share is of the buffer.
    rounds : rounds in a pool
    seeds : int
        Seeds 0 .. seeds - 1; each draws ``subsample`` of the hidden pairs, shuffles the sides, and seeds the learner.
    buffer : hidden pairs in a buffer of a stream
    subsample : share of the hidden pairs that a seed draws
    first : 'shared' or 'own'
        Who makes the first round before there is a common space: the same random draw for all, or every method that
        needs no common space itself.
    missing : share of the hidden pairs of which one half is not in the pool
    unknown : share of the hidden pairs that the oracle says do not exist
    wrong : share of the hidden pairs that the oracle has exchanged with each other
    noise : share of the queries that the oracle answers with a wrong row of the shortlist
    training : keyword arguments of the towers
    test_share : share of the known pairs held out when a pool has no test rows

    Raises
    ------
    ValueError
        One sentence about the first argument that is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    pool: Path | dict[str, Path | PairedSides]
    out: Path
    methods: dict[str, dict[str, Any]]
    setting: tuple[str, ...] = ("pool",)
    learner: tuple[str, ...] = ("ridge",)
    retrain: str = "continue"
    budget: float | int = 0.05
    rounds: int = Field(10, ge=1)
    seeds: int = Field(5, ge=1)
    buffer: int = Field(4096, ge=2)
    subsample: float = Field(0.8, gt=0, le=1)
    first: str = "shared"
    missing: float = Field(0.0, ge=0, lt=1)
    unknown: float = Field(0.0, ge=0, lt=1)
    wrong: float = Field(0.0, ge=0, lt=1)
    noise: float = Field(0.0, ge=0, le=1)
    training: dict[str, Any] = Field(default_factory=dict)
    test_share: float = Field(0.2, gt=0, lt=1)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            told = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
            where = str(first["loc"][0]) if first["loc"] else ""
            raise ValueError(told + "." if where in told else f"{where} of the protocol is wrong: {told}.") from None

    @field_validator("methods", mode="before")
    @classmethod
    def _methods(cls, methods: Any) -> dict[str, dict[str, Any]]:
        given = methods if isinstance(methods, Mapping) else {name: {"method": name} for name in methods}
        if not given:
            raise ValueError("methods is empty; give at least one")
        if not isinstance(methods, Mapping) and len(given) < len(methods):
            raise ValueError("methods names something twice; give each once")
        for name, knobs in given.items():
            _word(name, "methods")
            known(knobs.get("method", name), METHODS, "methods")
        return {name: {"method": name, **knobs} for name, knobs in given.items()}

    @field_validator("setting", "learner", mode="before")
    @classmethod
    def _several(cls, given: Any) -> tuple[str, ...]:
        return (given,) if isinstance(given, str) else tuple(given)

    @model_validator(mode="after")
    def _words(self) -> PairProtocol:
        for argument, given, table in (
            ("setting", self.setting, SETTINGS),
            ("learner", self.learner, LEARNERS),
            ("retrain", (self.retrain,), RETRAIN),
            ("first", (self.first,), ("shared", "own")),
        ):
            for name in given:
                known(name, table, argument)
            if not given or len(set(given)) < len(given):
                raise ValueError(f"{argument} must name at least one, each once")
        share = isinstance(self.budget, float)
        if not math.isfinite(self.budget) or self.budget <= 0 or (share and self.budget > 1):
            raise ValueError(f"budget is {self.budget}; give a share in (0, 1] or a count of at least 1")
        if self.unknown + self.wrong > 1:
            raise ValueError("wrong and unknown are shares of the same pairs; together they may be at most 1")
        for name in self.pool if isinstance(self.pool, dict) else ():
            _word(name, "pool")
        return self

    @property
    def sets(self) -> dict[str, Path | PairedSides]:
        """Sets by name; a single pool goes by the name of its folder."""
        if isinstance(self.pool, dict):
            return self.pool
        return {re.sub(r"[^\w.-]", "_", self.pool.resolve().name) or "pool": self.pool}

    def per_round(self, pairs: int) -> int:
        """Queries a round may ask where so many hidden pairs are in sight."""
        return self.budget if isinstance(self.budget, int) else max(1, math.floor(self.budget * pairs + 1e-9))

    def knobs(self, method: str, budget: int) -> tuple[str, dict[str, Any]]:
        """Name in ``modest.pairing.METHODS`` and knobs of a variant, with multiples of the budget worked out."""
        told = dict(self.methods[method])
        return told.pop("method"), {name: _times(value, budget) for name, value in told.items()}

    def training_of(self, learner: str) -> dict[str, Any]:
        """Keyword arguments of a learner; the ridge has none."""
        return self.training if learner == "towers" else {}

    def described(self) -> dict[str, Any]:
        """JSON form without ``out`` and without where the sets lie (their hashes say what they are)."""
        plain = self.model_dump(mode="json", exclude={"pool", "out"})
        return {"sets": list(self.sets), **plain}


def _word(name: str, argument: str) -> None:
    if not re.fullmatch(r"[\w.+-]+", name):
        raise ValueError(f"{argument} names {name!r}; use letters, digits, '_', '-', '+' and '.' only")


def _times(value: Any, budget: int) -> Any:
    """'4B' as four times the budget; anything else as it is."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)B", value) if isinstance(value, str) else None
    return value if found is None else max(budget, round(float(found[1]) * budget))
