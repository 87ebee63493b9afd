"""Labels, pairs, or both from one purse: fashion products whose photos and titles lie in two tables, unpaired.

    python -m benchmarks.mixed --into FOLDER            # 5 seeds, two prices of a pair, three policies; resumes
    python -m benchmarks.mixed --into FOLDER --table    # what there is, as a page

A label names the article type of a photo or a title, asked for by coverage on the side with fewer labels; a pair leads
from a row with a label to its partner, which thereby has a label too. Every policy begins with the same 40 labels.
The classifier is a logistic regression for each side on the rows that have a label, own or carried over, and the mean
of both on the test products. A gain is measured by cross-validation over the labels bought: the partner of a row that
is left out is left out with it. Test products are looked at for the page only.
"""

import argparse
import json
import multiprocessing
import warnings
from pathlib import Path

import numpy as np

from benchmarks import sets
from modest.evaluation import compare
from modest.pairing import choose
from modest.rounds import mixed
from modest.selection import select

TOTAL, STEP, START = 400.0, 20.0, 40
PRICES = (1.0, 0.2)
POLICIES = {"labels only": ("label",), "pairs only": ("pair",), "mixed": ("label", "pair")}
C, FOLDS = 1.0, 5


class Market:
    """Two tables of rows, their labels and partners hidden, and what was bought of them."""

    def __init__(self, data: sets.Set, seed: int, price: float) -> None:
        rng = np.random.default_rng(seed)
        train = np.flatnonzero(data.split == "train")
        train = rng.choice(train, int(0.8 * len(train)), replace=False)
        self.names, self.seed, self.price, self.number = tuple(data.views.names), seed, price, 0
        place = {name: rng.permutation(train) for name in self.names}
        self.x = {name: data.views.arrays[name][rows] for name, rows in place.items()}
        self._y = {name: data.y[rows] for name, rows in place.items()}
        a, b = self.names
        back = {row: k for k, row in enumerate(place[b].tolist())}
        self._partner = np.array([back[row] for row in place[a].tolist()])
        self.own = {name: np.full(len(train), -1) for name in self.names}
        self.pairs = np.empty((0, 2), dtype=np.int64)
        test = data.split == "test"
        self.test = {name: data.views.arrays[name][test] for name in self.names}
        self._test_y = data.y[test]
        self.buy_labels(float(START))

    def buy_labels(self, amount: float) -> float:
        """Labels of the side that has fewer, rows that cover it; what their partners' labels say is known already."""
        spent = 0.0
        for share in (int(amount) // 2, int(amount) - int(amount) // 2):
            labels = self.carried()
            name = min(self.names, key=lambda one: (int((labels[one] >= 0).sum()), one))
            count = min(share, int((labels[name] < 0).sum()))
            if count:
                rows = select({name: self.x[name]}, count, "maxherding", taken=labels[name] >= 0).rows
                self.own[name][rows] = self._y[name][rows]
                spent += count
        return spent

    def buy_pairs(self, amount: float) -> float:
        """Partners of rows that have a label while their partner has none."""
        labels = self.carried()
        free = {name: labels[name] >= 0 for name in self.names}
        for k, name in enumerate(self.names):
            free[name][self.pairs[:, k]] = False
        count = min(int(amount / self.price + 1e-9), sum(int(mask.sum()) for mask in free.values()))
        if not count:
            return 0.0
        self.number += 1
        queries = choose(self.x, self.pairs, count, "random", free=free, seed=self.seed, round=self.number)
        back = np.argsort(self._partner)
        bought = [
            (row, self._partner[row]) if query.modality == self.names[0] else (back[row], row)
            for query in queries
            for row in query.rows.tolist()
        ]
        self.pairs = np.unique(np.concatenate([self.pairs, np.array(bought, dtype=np.int64)]), axis=0)
        return len(bought) * self.price

    def carried(self, hidden: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Labels per side, own or the partner's; of ``hidden`` (side number, row) none, nor of what follows from it."""
        labels = {name: own.copy() for name, own in self.own.items()}
        for k, row in () if hidden is None else hidden.tolist():
            labels[self.names[k]][row] = -1
        a, b = (labels[name] for name in self.names)
        i, j = self.pairs.T
        a[i], b[j] = np.where(a[i] < 0, b[j], a[i]), np.where(b[j] < 0, a[i], b[j])
        return labels

    def score(self, labels: dict[str, np.ndarray], x: dict[str, np.ndarray], y: np.ndarray) -> float:
        """Accuracy of the mean of both sides' probabilities on rows of both, or of the one side given."""
        total = 0.0
        for name, rows in x.items():
            total = total + self._proba(name, labels[name], rows)
        return float((np.asarray(total).argmax(1) == y).mean())

    def measure(self) -> float:
        """Cross-validated accuracy over the labels bought, each side's rows predicted by that side."""
        known = np.concatenate([
            np.stack([np.full((own >= 0).sum(), k), np.flatnonzero(own >= 0)], axis=1)
            for k, own in enumerate(self.own.values())
        ])
        fold = np.random.default_rng(self.seed).permutation(len(known)) % FOLDS
        right = 0.0
        for number in range(FOLDS):
            labels = self.carried(known[fold == number])
            for k, name in enumerate(self.names):
                rows = known[(fold == number) & (known[:, 0] == k), 1]
                if len(rows):
                    right += self.score(labels, {name: self.x[name][rows]}, self.own[name][rows]) * len(rows)
        return right / len(known)

    def tested(self) -> float:
        """Accuracy on the test products, both sides there."""
        return self.score(self.carried(), self.test, self._test_y)

    def _proba(self, name: str, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        from sklearn.linear_model import LogisticRegression

        seen = labels >= 0
        classes = 1 + max(int(y.max()) for y in self._y.values())
        whole = np.full((len(rows), classes), 1e-9)
        if len(np.unique(labels[seen])) > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = LogisticRegression(C=C / self.x[name].shape[1], max_iter=200)
                model.fit(self.x[name][seen], labels[seen])
            whole[:, model.classes_] = model.predict_proba(rows)
        return whole


def chain(task: tuple[str, str, float, str, int]) -> str:
    """One policy, price and seed: rows (spent, labels, pairs, kind, measured, test accuracy) of every round."""
    shared, into, price, policy, seed = task
    place = Path(into) / f"{policy.replace(' ', '_')}~{price}~{seed}.json"
    if not place.exists():
        market = Market(sets.load("fashion", shared), seed, price)
        shops = {"label": market.buy_labels, "pair": market.buy_pairs}
        kinds = POLICIES[policy]
        prices = {kind: {"label": 1.0, "pair": price}[kind] for kind in kinds}
        rows = [{"spent": 0.0, "kind": "", "measured": market.measure(), "accuracy": market.tested()}]
        for record in mixed({kind: shops[kind] for kind in kinds}, market.measure, TOTAL, STEP, prices):
            told = {name: record.values[name] for name in ("spent", "kind", "measured")}
            rows.append({**told, "accuracy": market.tested()})
        place.with_suffix(".partial").write_text(json.dumps(rows))
        place.with_suffix(".partial").rename(place)
    return place.name


def table(into: Path, seeds: int) -> None:
    """Accuracy at equal cost, by policy and price; a policy that sold out keeps its last accuracy."""
    at = (40.0, 100.0, 200.0, TOTAL)
    heads = ["price of a pair", "policy", *(f"{spent:.0f} spent" for spent in at), "mean over all", "less mixed"]
    print("| " + " | ".join(heads) + " |")
    print("|---|---|" + "---|" * (len(at) + 2))
    for price in PRICES:
        found = {}
        for policy in POLICIES:
            files = [into / f"{policy.replace(' ', '_')}~{price}~{seed}.json" for seed in range(seeds)]
            runs = [json.loads(file.read_text()) for file in files]
            grid = np.arange(0.0, TOTAL + 1, STEP)
            found[policy] = np.array([
                [[row["accuracy"] for row in run if row["spent"] <= spent + 1e-9][-1] for spent in grid] for run in runs
            ])
        for policy, scores in found.items():
            cells = [f"{100 * scores[:, int(spent / STEP)].mean():.1f}" for spent in at]
            mean = scores.mean(axis=1)
            other = compare(mean, found["mixed"].mean(axis=1))
            told = f"{100 * other.mean:+.1f} [{100 * other.low:+.1f}, {100 * other.high:+.1f}]"
            less = "" if policy == "mixed" else told
            print(f"| {price} | {policy} | {' | '.join(cells)} | {100 * mean.mean():.1f} | {less} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", default="../shared")
    parser.add_argument("--into", required=True, type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    args.into.mkdir(parents=True, exist_ok=True)
    if args.table:
        table(args.into, args.seeds)
        return
    tasks = [
        (args.shared, str(args.into), price, policy, seed)
        for seed in range(args.seeds)
        for price in PRICES
        for policy in POLICIES
    ]
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for done, name in enumerate(pool.imap_unordered(chain, tasks), start=1):
            print(f"{done} of {len(tasks)}: {name}", flush=True)


if __name__ == "__main__":
    main()
