"""The numbers of ``modest.evaluation.enough`` from saved curves, and what they would have foretold of others.

Slope, spread, noise and drift are those of the largest likelihood of what was measured next, sets counting alike
whatever their number of curves. The interval is then stretched until it holds 85 % in the study and set where it holds
fewest. Every set is foretold by numbers that other sets gave, so no curve is told by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import t as student

from benchmarks.enough_curves import Curve
from modest.evaluation.enough import DEGREES, EDGE, POWER
from modest.types import Bool, Float, Int

LEAP = 4  # purchases beyond so many times the count are looked at apart, and fit nothing
MOST = 40  # points of a group that the likelihood takes
HELD = 0.85


@dataclass(frozen=True, eq=False)
class Points:
    """Every point but the first of every curve, foretold from those before: ``x``, ``y``, ``there`` (N, T) what is
    known, in doublings before the last, ``ahead`` (N,) doublings to go, and a ``frame`` of what each is.
    """

    x: Float
    y: Float
    there: Float
    ahead: Float
    frame: pd.DataFrame

    @classmethod
    def of(cls, found: Sequence[Curve]) -> Points:
        """Of curves."""
        cases = [(one, t) for one in found for t in range(1, len(one.counts))]
        shape = (len(cases), max(t for _, t in cases))
        x, y, there, rows = np.zeros(shape), np.full(shape, 0.5), np.zeros(shape), []
        for k, (one, t) in enumerate(cases):
            mean, n = one.values.mean(axis=0), one.counts
            x[k, :t], y[k, :t], there[k, :t] = np.log2(n[:t] / n[t - 1]), np.clip(mean[:t], EDGE, 1 - EDGE), 1
            told = {"study": one.study, "set": one.set, "curve": one.name, "seeds": len(one.values), "points": t}
            rows.append({**told, "n": n[t - 1], "to": n[t], "last": mean[t - 1], "true": mean[t] - mean[t - 1]})
        frame = pd.DataFrame(rows)
        frame["near"] = frame["to"] <= LEAP * frame["n"]
        frame["group"] = list(zip(frame["study"], frame["set"], frame["seeds"] > 1))
        return cls(x, y, there, np.log2(frame["to"] / frame["n"]).to_numpy(), frame)

    def predict(self, numbers: Float, rows: Int) -> tuple[Float, Float]:
        """Mean and deviation of logit scores to come, by slope and the logarithms of spread, noise and drift."""
        slope, (spread, noise, drift) = numbers[0], np.exp(numbers[1:])
        x, y, ahead = self.x[rows], self.y[rows], self.ahead[rows]
        root = np.sqrt(self.frame["seeds"].to_numpy()[rows])
        w = self.there[rows] / ((noise * (y * (1 - y)) ** (POWER - 1) / root[:, None]) ** 2 + (drift * x) ** 2)
        total, z = w.sum(1), logit(y)
        centre, level = (w * x).sum(1) / total, (w * z).sum(1) / total
        precise = (w * (x - centre[:, None]) ** 2).sum(1) + spread**-2
        b = ((w * (x - centre[:, None]) * (z - level[:, None])).sum(1) + slope * spread**-2) / precise
        told = level + b * (ahead - centre)
        own = noise * (expit(told) * expit(-told)) ** (POWER - 1) / root
        return told, np.sqrt(1 / total + (ahead - centre) ** 2 / precise + (drift * ahead) ** 2 + own**2)

    def missed(self, numbers: Float, rows: Int) -> tuple[Float, Float]:
        """How far off in deviations, and these."""
        told, sd = self.predict(numbers, rows)
        after = np.clip((self.frame["last"] + self.frame["true"]).to_numpy()[rows], EDGE, 1 - EDGE)
        return np.abs(logit(after) - told) / sd, sd

    def fit(self, chosen: Bool) -> Float:
        """The numbers of the chosen points."""
        rng, frame = np.random.default_rng(0), self.frame[chosen]
        size = frame["points"].clip(upper=3)
        groups = [own.index.to_numpy() for _, own in frame.groupby([frame["group"], size])]
        some = np.concatenate([rng.choice(own, min(len(own), MOST), replace=False) for own in groups])
        whose = self.frame["set"].to_numpy()
        weight = np.concatenate([np.full(min(len(own), MOST), 1 / min(len(own), MOST)) for own in groups])
        per_set = pd.Series(weight).groupby(whose[some]).transform("sum").to_numpy()

        def loss(numbers: Float) -> float:
            off, sd = self.missed(numbers, some)
            return float((weight / per_set * (np.log(sd) - student.logpdf(off, DEGREES))).sum())

        start = [0.3, *np.log([0.2, 0.05, 0.08])]
        options = {"maxiter": 200, "xatol": 2e-3, "fatol": 1e-3}
        return np.asarray(minimize(loss, start, method="Nelder-Mead", options=options).x)

    def stretch(self, numbers: Float, chosen: Bool) -> float:
        """What the interval is widened by; the worst group counts, if it has fifty points."""
        rows = np.flatnonzero(chosen)
        told = pd.Series(self.missed(numbers, rows)[0]).groupby(self.frame["group"].to_numpy()[rows])
        worst = max(float(own.quantile(HELD)) for _, own in told if len(own) >= 50)
        return max(1.0, worst / float(student.ppf(0.95, DEGREES)))

    def left_out(self) -> pd.DataFrame:
        """The frame with gain, low and high of every set by the numbers of the others."""
        frame = self.frame.assign(**{f"modest:{name}": np.nan for name in ("gain", "low", "high")})
        for name in sorted(set(frame["set"])):
            others = (frame["near"] & (frame["set"] != name)).to_numpy()
            numbers = self.fit(others)
            reach = self.stretch(numbers, others) * student.ppf(0.95, DEGREES)
            rows = np.flatnonzero(frame["set"] == name)
            told, sd = self.predict(numbers, rows)
            last = np.clip(frame["last"].to_numpy()[rows], EDGE, 1 - EDGE)
            for part, z in (("low", told - reach * sd), ("gain", told), ("high", told + reach * sd)):
                frame.loc[rows, f"modest:{part}"] = expit(z) - last
        return frame
