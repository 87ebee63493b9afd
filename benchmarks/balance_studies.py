"""The studies of ``benchmarks.balance``: ablation, isolation, laziness, stability and learning rates, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.balance_jobs import ABLATION, SETS, STABLE_SETS
from benchmarks.balance_page import Cell, by_name, of, percent, points, rows, stacked
from benchmarks.balance_printed import SETS as PRINTED_SETS
from benchmarks.balance_printed import TABLE_3, TRAP
from benchmarks.balance_stats import by_seed, steady, tied
from modest.evaluation import compare

LAZY = """\
Laziness of a modality under a recipe: the accuracy it reaches when it is trained alone (concat, all other modalities
absent from training and test) less that of a linear probe (logistic regression, C fixed) on its encoder's features
after training with the recipe; in points, paired by seed. **Lazy** where the interval is above 0 and the mean above one
point. "Against the probe" takes the probe of the modality trained alone for its accuracy, the same yardstick on both
sides.
`untrained`: encoders as they were drawn, the floor of the measure."""
EFFECTS = {
    "fusion by entropy, no projection": ("shared, entropy", "shared, mean"),
    "projection, mean": ("shared, projected, mean", "shared, mean"),
    "both": ("shared, projected, entropy", "shared, mean"),
    "separate heads, mean": ("separate, mean", "shared, mean"),
    "separate heads and entropy, less both": ("separate, entropy", "shared, projected, entropy"),
    "alternating, mean": ("shared, mean", "shared, not alternating, mean"),
}


def parts(cells: Sequence[Cell]) -> list[str]:
    """Sections of what there is."""
    made = []
    for series, write in SECTIONS.items():
        own = of(cells, series=series)
        made += write(own, cells) if own else []
    return made


def ablation(own: Sequence[Cell], cells: Sequence[Cell]) -> list[str]:
    """Variants by set, the effect of each part, and the paper's Table 3."""
    found = {name: by_name(of(own, set=name), ABLATION) for name in SETS}
    found = {name: variants for name, variants in found.items() if variants}
    marks = {name: tied({v: stacked(c) for v, c in variants.items()}) for name, variants in found.items()}
    content = []
    for variant in ABLATION:
        told = [
            percent([float(c["right"]["fused"].mean()) for c in variants[variant]], marks[name][variant])
            if variant in variants else "" for name, variants in found.items()
        ]  # fmt: skip
        content.append([variant, *told])
    effects = []
    for what, (more, less) in EFFECTS.items():
        pairs = [(v[more], v[less]) if more in v and less in v else None for v in found.values()]
        effects.append([what, *(points(by_seed(*map(stacked, pair))) if pair else "" for pair in pairs)])
    paper = [[part, *(f"{x:.2f}" for x in values)] for part, values in TABLE_3.items()]
    return [
        "## Ablation: heads, projection, fusion (all labels, fused)", rows(["heads, fusion", *found], content),
        "Effects in points, paired by seed:", rows(["effect", *found], effects),
        "The paper's Table 3 (DF: fusion by entropy, HGM: projection):", rows(["parts", *PRINTED_SETS], paper), TRAP,
    ]  # fmt: skip


def isolation(own: Sequence[Cell], cells: Sequence[Cell]) -> list[str]:
    """Each modality's own accuracy, trained with the others, with half of them, without."""
    made = [
        "## Isolation: modalities masked in training",
        "Own accuracy of a modality on test, by what was absent from training: nothing, a modality in half of the "
        "rows, a modality altogether, all others. The last column is alone less all, in points, paired by seed. In the "
        "paper (Figure 2) mla's modalities do not notice, those of a joint loss do.",
    ]
    for name in SETS:
        here = [c for c in of(own, set=name) if c["name"] != "untrained"]
        for m in here[0]["names"] if here else ():
            ways = list(dict.fromkeys(c["rows"] for c in here if speaks(c["rows"], m) and c["rows"] != f"only-{m}"))
            ways = [w for w in sorted(ways) if w != f"half-{m}"]
            content = []
            for method in dict.fromkeys(c["name"] for c in here):
                told = {w: alone_of(of(here, name=method, rows=w), m) for w in [*ways, f"only-{m}"]}
                content.append([method, *(percent(list(v.values())) if v else "" for v in told.values()),
                                less(told[f"only-{m}"], told.get("all", {}))])  # fmt: skip
            if content:
                made += [f"### {name}, {m}", rows(["recipe", *ways, f"only-{m}", "alone - all"], content)]
    whole = of(cells, series="table", labels="full") or of(own, rows="all")
    floor = of(own, name="untrained")
    return [*made, "## Is any modality lazy?", LAZY, *laziness([*whole, *floor], own)]


def speaks(way: str, m: str) -> bool:
    """Whether modality m is there at test under a masking."""
    how, _, name = way.partition("-")
    return how in ("all", "half") or (how == "only") == (name == m)


def alone_of(cells: Sequence[Cell], m: str) -> dict[int, float]:
    """Seed -> own accuracy of a modality."""
    return {c["seed"]: float(c["right"][m].mean()) for c in cells}


def less(a: dict[int, float], b: dict[int, float], lazy: bool = False) -> str:
    """Paired difference over the seeds that both have."""
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        return ""
    apart = compare([a[s] for s in seeds], [b[s] for s in seeds])
    return f"**{points(apart)}**" if lazy and apart.low > 0 and apart.mean > 0.01 else points(apart)


def laziness(whole: Sequence[Cell], masked: Sequence[Cell]) -> list[str]:
    """Per set a table recipe x modality of own accuracy, probe and laziness."""
    made = []
    for name in dict.fromkeys(c["set"] for c in masked):
        here = of(whole, set=name, rows="all")
        names = here[0]["names"] if here else []
        content, head = [], ["recipe", "fused"]
        alone = {m: of(masked, set=name, rows=f"only-{m}", name="concat") for m in names}
        own = {m: alone_of(cells, m) for m, cells in alone.items()}
        for method in dict.fromkeys(c["name"] for c in here):
            cells = of(here, name=method)
            told = [percent([float(c["right"]["fused"].mean()) for c in cells])]
            for m in names:
                probed = {c["seed"]: c["probe"][m] for c in cells}
                fair = {c["seed"]: c["probe"][m] for c in alone[m]}
                told += [percent(list(alone_of(cells, m).values())), percent(list(probed.values())),
                         less(own[m], probed, lazy=True), less(fair, probed, lazy=True)]  # fmt: skip
            content.append([method, *told])
        for m in names:
            head += [f"{m}: own", f"{m}: probe", f"{m}: laziness", f"{m}: against the probe"]
        said = ", ".join(f"{m} {percent(list(values.values()))}" for m, values in own.items() if values)
        made += [f"### {name}", f"Alone: {said}.", rows(head, content)] if content else []
    return made


def pilot(own: Sequence[Cell], cells: Sequence[Cell]) -> list[str]:
    """Ways to provoke laziness."""
    told = "Ways to provoke laziness (`benchmarks/balance_sets.py` says what they are), under concat and late."
    return ["## Pilot", told, LAZY, *laziness(own, own)]


def provoked(own: Sequence[Cell], cells: Sequence[Cell]) -> list[str]:
    """Every recipe where laziness is provoked, and who is best."""
    made = ["## Where laziness is provoked", LAZY, *laziness(own, own)]
    for name in dict.fromkeys(c["set"] for c in own):
        found = by_name(c for c in of(own, set=name, rows="all") if c["name"] != "untrained")
        best = [method for method, is_best in tied({m: stacked(c) for m, c in found.items()}).items() if is_best]
        made.append(f"Best or tied on {name}, fused: {', '.join(best)}.")
    return made


def stable(own: Sequence[Cell], cells: Sequence[Cell]) -> list[str]:
    """mla's options over 100 epochs."""
    content = []
    for variant in dict.fromkeys(c["name"] for c in own):
        told: list[str] = []
        numbers, good = [], []
        for name in STABLE_SETS:
            here = of(own, set=name, name=variant)
            if not here:
                told += ["", "", ""]
                continue
            curves = [c["curves"] for c in here]
            gains = [c.get("gain") for c in curves]
            ends = [(max(c["validation"]), c["validation"][-1]) for c in curves]
            good += [steady(c["validation"], gain[-1] if gain else None) for c, gain in zip(curves, gains)]
            numbers += ends
            epochs = [np.mean([g[min(e, len(g)) - 1] for g in gains if g]) for e in (1, 10, 100)] if any(gains) else []
            told += [f"{100 * np.mean([e[k] for e in ends]):.1f}" for k in (0, 1)]
            told.append(" / ".join(f"{x:.2g}" for x in epochs))
        best, last = (100 * np.mean([n[k] for n in numbers]) for k in (0, 1))
        content.append([variant, *told, f"{best:.1f}", f"{last:.1f}", f"{sum(good)} of {len(good)}"])
    content.sort(key=lambda row: -float(row[-2]))
    head = [f"{name}: {what}" for name in STABLE_SETS for what in ("best", "last", "gain 1 / 10 / 100")]
    return [
        "## mla over 100 epochs",
        "Options: optimiser, normalize, reset, alpha, project_step (sgd with rate 1e-2, adamw 1e-3, both a tenth of it "
        "from epoch 70 on). Validation accuracy in per cent, best and last of 100 epochs, and the head's gain after "
        "epochs 1, 10 and 100. Stable: the last is at most two points below the best and the gain ends at 0.05 or "
        "more. Ordered by the mean of the last.",
        rows(["options", *head, "mean best", "mean last", "stable"], content),
    ]


def rates(own: Sequence[Cell], cells: Sequence[Cell]) -> list[str]:
    """Validation accuracy by recipe, set and rate; the best is what ``--chosen`` takes."""
    grid = sorted({c["knobs"]["lr"] for c in own})
    found = [name for name in SETS if of(own, set=name)]
    content = []
    for method in dict.fromkeys(c["method"] for c in own):
        told = []
        for name in found:
            by_rate = {
                lr: [c["curves"]["validation"][c["chosen"] - 1] for c in of(own, set=name, method=method)
                     if c["knobs"]["lr"] == lr] for lr in grid
            }  # fmt: skip
            told.append(" / ".join(f"{100 * np.mean(v):.1f}" if v else "-" for v in by_rate.values()))
        content.append([method, *told])
    head = f"## Validation accuracy by rate ({' / '.join(f'{lr:g}' for lr in grid)})"
    return [head, rows(["recipe", *found], content)]


SECTIONS = {
    "ablation": ablation, "isolation": isolation, "pilot": pilot,
    "provoked": provoked, "stable": stable, "rates": rates,
}  # fmt: skip
