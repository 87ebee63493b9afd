"""What every candidate would add to a coverage: upper bounds, made exact where asked, with as few products as it takes.

    gain(c) = sum_i w_i max(0, k(c, i) - best_i)

A gain is known exactly against a ``level``, what covered the targets at some time. To bring it up to date, the targets
covered better since are enough:  gain -= sum over these of w_i (clamp(k(c, i), level_i, best_i) - level_i). Candidates
brought up to date together share a level. Once few enough pairs are left with k(c, i) above best_i they are held
(pairs.py), every gain is exact and no product is needed any more.
Cost one pass candidates x targets x d (half of it when they are the same rows), then rows asked for x targets changed;
memory both sides as far as they fit in a quarter of ``memory`` each, 16 levels, tiles, and the pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from modest.neighbours.pairs import BYTES, PART, Pairs
from modest.neighbours.rows import squared_distances
from modest.neighbours.side import Side
from modest.types import Int

Kernel = Callable[[Tensor], Tensor]  # squared distances -> similarities, decreasing

EDGE = 1024  # rows and columns of a tile on the CPU
FOLLOW = 1024  # to follow a held pair takes as long as to compute a similarity of so many dimensions
SORT = 16  # and to sort one in, as to follow so many
THIN = 16  # a product with one row costs as much as one with so many: it is bound by memory
SAMPLE = 64  # targets that tell how many pairs still count
LEVELS = 16


class Gains:
    """Bounds on the gains of ``held`` over ``aims``; both may be the same :class:`Side`.

    ``best`` (t,) is what covers the targets, ``bound`` (c,) never below the gain; minus infinity where not admitted.
    """

    def __init__(self, held: Side, aims: Side, weights: Tensor | None, kernel: Kernel, budget: int) -> None:
        self.held, self.aims, self.weights, self.kernel = held, aims, weights, kernel
        memory, device = held.rows.memory, held.rows.device
        edge = EDGE if device.type == "cpu" else 8 * EDGE
        self.edge = max(1, min(edge, int((memory // 8 // 24) ** 0.5)))
        self.best = torch.zeros(len(aims), dtype=held.rows.dtype, device=device)
        self.bound = torch.full((len(held),), -torch.inf, dtype=torch.float64, device=device)
        self.base = self.bound.clone()  # exact against the level
        self.level = torch.zeros(len(held), dtype=torch.int64, device=device)
        self.levels = [self.best.clone()]
        self.pairs: Pairs | None = None
        self.most_pairs = memory // 2 // BYTES
        self.part = max(1, min(PART, self.most_pairs, len(held) * budget // 5))
        self.budget, self.picked, self.look, self.moved = budget, 0, 2, 0
        self.spent, self.seen = 0, (0, 0)  # candidate-target pairs computed; that and the picks at the last look

    def tiles(self, at: Tensor | None = None, targets: Tensor | None = None) -> Iterator[tuple[slice, slice, Tensor]]:
        """(places in ``at``, places in ``targets``, similarities) in square tiles that stay in the processor's cache.

        Between one set of rows and itself, every tile off the diagonal serves twice.
        """
        rows = len(self.held) if at is None else len(at)
        count = len(self.aims) if targets is None else len(targets)
        mirror = at is None and targets is None and self.held is self.aims
        self.spent += (rows * count) // (1 + mirror) + THIN * (rows + count)
        near = self.aims[targets] if targets is not None and count <= self.edge else None
        for start in range(0, rows, self.edge):
            place = slice(start, min(start + self.edge, rows))
            block = self.held[place if at is None else at[place]]
            for first in range(start if mirror else 0, count, self.edge):
                part = slice(first, min(first + self.edge, count))
                aims = self.aims[part if targets is None else targets[part]] if near is None else near
                k = self.kernel(squared_distances(block, aims))
                if mirror and first > start:
                    yield part, place, k.T.contiguous()
                yield place, part, k

    def exceeding(self, at: Tensor | None, targets: Tensor | None, least: Tensor, most: Tensor | None = None) -> Tensor:
        """(c,) weighted sum over some targets of what their similarity exceeds ``least`` by, cut at ``most``.

        A tile's rows are summed in the tile's type, the tiles in float64.
        """
        total = torch.zeros(len(self.held) if at is None else len(at), dtype=torch.float64, device=least.device)
        weights = self.weights if self.weights is None or targets is None else self.weights[targets]
        for place, part, k in self.tiles(at, targets):
            k = k.clamp_min_(least[part]) if most is None else k.clamp_(least[part], most[part])
            k = k.sub_(least[part])
            total[place] += k.sum(1) if weights is None else k @ weights[part]
        return total

    def admit(self, at: Tensor | None) -> None:
        """Know the exact gains of candidates not known so far; None for all."""
        if self.pairs is not None:
            self.hold(at)
            return
        where = slice(None) if at is None else at
        self.level[where] = self._now()
        self.base[where] = self.exceeding(at, None, self.best)
        self.bound[where] = self.base[where]

    def cover(self, place: int) -> None:
        """Count one more candidate as picked."""
        self.picked += 1
        if self.pairs is None:
            at = torch.tensor([place], device=self.best.device)
            self.raise_to(torch.cat([k[0] for _, _, k in self.tiles(at)]))
            return
        targets, value = self.pairs.of_candidate(place)
        similarity = self.best.clone()
        similarity[targets] = value
        self.raise_to(similarity)
        self.pairs.thin(self.best, self.picked)

    def covered_by(self, covered: Int, targets: Tensor) -> Tensor:
        """(t,) largest similarity of some targets to any of the rows ``covered``; 0 where there are none."""
        best = torch.zeros(len(targets), dtype=self.best.dtype, device=self.best.device)
        for start in range(0, len(covered), self.edge):
            block = self.held.rows.take(covered[start : start + self.edge])
            for first in range(0, len(targets), self.edge):
                part = slice(first, first + self.edge)
                seen = self.kernel(squared_distances(block, self.aims[targets[part]])).amax(dim=0)
                best[part] = torch.maximum(best[part], seen)
        return best

    def raise_to(self, similarity: Tensor) -> None:
        """The targets are covered by ``similarity`` (t,) as well; bounds fall at once where pairs are held."""
        changed = torch.nonzero(similarity > self.best).flatten()
        old, new = self.best[changed], similarity[changed]
        self.best[changed] = new
        self.moved = len(changed)  # by the newest pick
        if self.pairs is None:
            return
        at, candidates, k = self.pairs.of_targets(changed)
        loss = (torch.clamp(k, old[at], new[at]) - old[at]).double()
        if self.weights is not None:
            loss *= self.weights[changed][at]
        self.bound.index_add_(0, candidates, loss, alpha=-1.0)

    def exact(self) -> Tensor:
        """(c,) bool: whose bound is the gain."""
        if self.pairs is not None:
            return torch.ones_like(self.bound, dtype=torch.bool)
        return self.level == len(self.levels) - 1 if self._settled() else torch.zeros_like(self.level, dtype=torch.bool)

    def refresh(self, at: Tensor) -> None:
        """Make the bounds ``at`` exact, or all of them where that costs no more."""
        if self._pays():
            known = self.bound > -torch.inf
            self.hold(None if bool(known.all()) else torch.nonzero(known).flatten())
        if self.pairs is None:
            self._update(at)

    def _update(self, at: Tensor) -> None:
        now = self._now()
        groups = [(at[self.level[at] == g], level) for g, level in enumerate(self.levels[:-1])]
        work = [(mine, torch.nonzero(self.best > level).flatten(), level) for mine, level in groups if len(mine)]
        if self.held is self.aims and 2 * max((len(c) for _, c, _ in work), default=0) > len(self.aims):
            self.level[:] = now
            self.base = self.exceeding(None, None, self.best)
            self.bound = self.base.clone()
            return
        for mine, changed, level in work:
            if len(changed) == len(self.aims):
                self.base[mine] = self.exceeding(mine, None, self.best)
            elif len(changed):
                self.base[mine] -= self.exceeding(mine, changed, level[changed], self.best[changed])
        self.level[at] = now
        self.bound[at] = self.base[at]

    def hold(self, at: Tensor | None) -> None:
        """Hold the pairs of some candidates that still count, unless they are too many; their gains become exact."""
        gain = self.gather(at)
        if gain is not None:
            self.bound[slice(None) if at is None else at] = gain
        elif self.pairs is not None:  # the new ones do not fit beside those held: back to products
            self.release()
            self.admit(at)

    def gather(self, at: Tensor | None, targets: Tensor | None = None) -> Tensor | None:
        """(c,) gains of some candidates over some targets, whose pairs are held from now on; None if too many."""
        pairs = self.pairs or Pairs(len(self.held), len(self.aims), self.part, self.best.device)
        gain = torch.zeros(len(self.held) if at is None else len(at), dtype=torch.float64, device=self.best.device)
        where = torch.arange(len(self.held), device=gain.device) if at is None else at
        aims = torch.arange(len(self.aims), device=gain.device) if targets is None else targets
        best, weights = self.best[aims], None if self.weights is None else self.weights[aims]

        def found() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
            for place, part, k in self.tiles(at, targets):
                above = (k - best[part]).clamp_min_(0.0)
                gain[place] += above.sum(1) if weights is None else above @ weights[part]
                yield where[place], aims[part], k, above > 0

        if not pairs.add(found(), self.most_pairs - pairs.count):
            return None
        self.pairs = pairs
        return gain

    def release(self) -> None:
        """Let go of all pairs; gains stay exact against what covers the targets now."""
        self.base, self.pairs = self.bound.clone(), None
        self.levels, self.level = [self.best.clone()], torch.zeros_like(self.level)

    def _settled(self) -> bool:
        """Whether nothing was covered better since the newest level."""
        return bool(torch.equal(self.levels[-1], self.best))

    def _now(self) -> int:
        """Number of the level of this moment; levels of no candidate go, and the cheapest when there are too many."""
        if self._settled():
            return len(self.levels) - 1
        known = self.bound > -torch.inf
        used, members = torch.unique(self.level[known], return_counts=True)
        self.level = torch.searchsorted(used, self.level)
        self.levels = [self.levels[g] for g in used.tolist()] + [self.best.clone()]
        if len(self.levels) > LEVELS:
            cost = [n * int((self.best > level).sum()) for n, level in zip(members.tolist(), self.levels)]
            self._update(torch.nonzero((self.level == cost.index(min(cost))) & known).flatten())
        return len(self.levels) - 1

    def _pays(self) -> bool:
        """Whether to hold the pairs: by a sample of targets they are few enough, and cost less than products will."""
        if self.pairs is not None or self.picked < self.look:
            return False
        spent, picked = self.seen
        rate = (self.spent - spent) / (self.picked - picked)
        self.seen, self.look = (self.spent, self.picked), self.picked + self.picked // 4 + 1
        known = torch.nonzero(self.bound > -torch.inf).flatten()
        whole, left = len(known) * len(self.aims), min(self.budget - self.picked, 4 * self.picked)
        if rate * left < whole:
            return False
        sample = torch.arange(0, len(self.aims), max(1, len(self.aims) // SAMPLE), device=self.best.device)
        above = sum(int((k > self.best[sample[part]]).sum()) for _, part, k in self.tiles(known, sample))
        pairs = above / len(sample) * len(self.aims)
        follow = pairs * FOLLOW / self.held.rows.width
        if pairs * 1.2 > self.most_pairs or SORT * follow > rate * self.picked:  # by the next pick there will be fewer
            return False
        return whole + follow * self.moved / len(self.aims) * left / 2 <= rate * left
