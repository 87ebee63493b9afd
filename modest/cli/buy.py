"""``modest select --buy``: which items to buy a missing modality for, and ``--bought``: put into the pool what came."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from modest.cli.output import finish, table
from modest.cli.pairs import items


def purchase(
    pool: str, modality: str | None, file: Path | None, budget: str | None, settings: dict[str, Any], json: bool
) -> None:
    """Buy, or put in place what was bought; ``settings`` are those of :func:`buying` by name."""
    if modality is None:
        raise ValueError("--bought belongs to a modality; name it by --buy.")
    if file is not None:
        bought(pool, modality, file, json)
    else:
        buying(pool, modality, items(budget), json=json, **settings)


def buying(
    pool: str, modality: str, budget: int | float, model: str | None, method: str, split: str, again: bool,
    knobs: dict[str, Any], seed: int, memory: str, device: str | None, json: bool,
) -> None:  # fmt: skip
    """Choose among the rows of a split that lack the modality and were not asked for; ``again``: labelled ones too.

    Labelled training rows are left out: the model has learned their label.

    Raises
    ------
    ValueError
        If no model is named, it reads raw media, or whatever :func:`modest.selection.buy` refuses.
    """
    import numpy as np

    import modest
    from modest.checks import known
    from modest.cli.models import model_folder
    from modest.data.purchases import FILE, add_purchase, ordered

    if model is None:
        raise ValueError("--buy needs a trained classifier; name it by --model (modest train makes one).")
    opened = modest.open(pool)
    clf = modest.load(model_folder(opened.path, model), device=device)
    known(modality, getattr(clf, "names_", ()), "--buy")
    raw = [name for name, width in clf.trained_.reader.widths.items() if width is None]
    if raw:
        raise ValueError(
            f"--buy puts values of like items in place, which takes ready views, and {model} reads raw {raw[0]}; embed "
            "it (modest embed) and train on the view."
        )
    if split != "all":
        known(split, sorted(set(opened.split.tolist())), "--split")
    views = opened.views({name: clf.trained_.reader.views.get(name) for name in clf.names_})
    present = np.ones((len(opened), len(views.names)), dtype=bool) if views.present is None else views.present
    lacks = ~present[:, views.names.index(modality)] & present.any(axis=1)
    lacks &= True if split == "all" else opened.split == split
    if not again:
        lacks &= ~((opened.split == "train") & np.array([label is not None for label in opened.labels], dtype=bool))
    if not lacks.any():
        raise ValueError(f"no row of split {split!r} lacks {modality}; try another --split, or --ignore-labels.")
    choice = modest.selection.buy(
        views, budget, modality, clf.predict_proba, "gain" if method == "auto" else method, seed,
        ordered(opened, modality), among=lacks, memory=memory, device=device, **knobs,
    )  # fmt: skip
    choice = replace(choice, trace={**choice.trace, "split": split, "model": model})
    number = add_purchase(opened, choice, modality)
    place = opened.path / "rounds" / str(number) / FILE
    payload = {"pool": str(opened.path), "round": number, "path": str(place), "modality": modality, "model": model}
    payload |= {"score": choice.trace["score"], "chosen": len(choice), "candidates": int(lacks.sum())}
    payload |= {"strangers": choice.trace["strangers"], "ids": choice.ids.tolist()}
    shown = [(i, f"{s:.4f}", r) for i, s, r in zip(choice.ids[:10], choice.scores, choice.reasons)]
    text = [
        f"{modality} for {len(choice)} of the {int(lacks.sum()):,} items that lack it, by {choice.trace['score']}",
        table("First of them", ("id", "score", "reason"), shown),
        f"written: {place}",
    ]
    finish(payload, json, text, f"modest select {pool} --buy {modality} --bought {place}  (with its values filled in)")


def bought(pool: str, modality: str, file: Path, json: bool) -> None:
    """Put a modality that was bought into the pool: raw values, or features of the view that came with the source."""
    import numpy as np

    import modest
    from modest.data.purchases import fill_in, read_bought

    values, ids = read_bought(file, modality)
    count = fill_in(modest.open(pool), modality, values, ids)
    raw = np.asarray(values).dtype.kind not in "buif"
    then = f"modest embed {pool} --view {modality}=URI --fresh" if raw else f"modest predict {pool} --model NAME"
    said = [f"{modality} of {count} items is in {pool}"]
    finish({"pool": pool, "modality": modality, "filled": count}, json, said, then)
