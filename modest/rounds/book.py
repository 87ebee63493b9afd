"""What a pool knows of its pairs: the ledger of all answers, who has which modality, and which questions wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from modest.data.pairs import COLUMNS, asked, inner_pairs, read_pairs
from modest.data.stored import raw_modalities
from modest.pairing import Ledger
from modest.types import Bool, Int

if TYPE_CHECKING:
    import pandas as pd

    from modest.data.pool import Pool


def ledger(pool: Pool) -> Ledger:
    """Everything that was answered, as a ledger of sides whose rows are those of the pool, whatever has which modality.

    Rows with two modalities are its known pairs.
    """
    table, place = read_pairs(pool.path), dict(zip(pool.ids.tolist(), range(len(pool))))
    rows = {name: np.flatnonzero(has(pool, name)) for name in modalities(pool)}
    start = [[*way, two.tolist()] for way, two in _known(rows).items()]
    partners = zip(table["id_b"], table["status"])
    answers = {
        "side": table["modality_a"].tolist(),
        "row": [place[name] for name in table["id_a"]],
        "target": table["modality_b"].tolist(),
        "partner": [place[name] if status == "matched" else -1 for name, status in partners],
        **{name: table[name].tolist() for name in COLUMNS[4:]},
    }
    told = {"sizes": dict.fromkeys(rows, len(pool)), "again": True, "creates": False, "start": start, "asked": []}
    return Ledger.from_dict({**told, "answers": answers})


def _known(rows: Mapping[str, Int]) -> dict[tuple[str, str], Int]:
    """Rows of the table that are pairs, in its own frame."""
    found = inner_pairs(rows)
    return {(a, b): np.stack([rows[a][two[:, 0]], rows[b][two[:, 1]]], axis=1) for (a, b), two in found.items()}


def count(book: Ledger) -> int:
    """Number of pairs in a ledger."""
    pairs = book.pairs
    return sum(map(len, pairs.values())) if isinstance(pairs, dict) else len(pairs)


def as_table(book: Ledger, pool: Pool) -> pd.DataFrame:
    """All answers of a ledger as the pool keeps them."""
    import pandas as pd

    told, ids = book.table(), pool.ids
    columns = {"modality_a": told["side"], "id_a": [ids[row] for row in told["row"]], "modality_b": told["target"]}
    columns["id_b"] = [ids[row] if row >= 0 else None for row in told["partner"]]
    return pd.DataFrame({**columns, **{name: told[name] for name in COLUMNS[4:]}})


def modalities(pool: Pool) -> tuple[str, ...]:
    """Names of all sides a pool can have: its views, its raw media, and what was asked."""
    table = asked(pool.path)
    return tuple(dict.fromkeys([*pool.names, *raw_modalities(pool.table), *table["modality"], *table["target"]]))


def has(pool: Pool, modality: str) -> Bool:
    """(n,) items that have a modality: in its default view or, without one, as a raw value."""
    if modality in pool.names:
        return np.asarray(pool.present[:, pool.names.index(modality)])
    if modality in pool.table.columns:
        return np.asarray(pool.table[modality].notna())
    return np.zeros(len(pool), dtype=bool)


def pending(pool: Pool) -> pd.DataFrame:
    """What was asked and has no answer yet, as :func:`modest.data.pairs.asked`; of a row asked again, the last time."""
    table, said = asked(pool.path), read_pairs(pool.path)
    answered = set(zip(said["modality_a"], said["id_a"], said["modality_b"], said["round"]))
    last = table.drop_duplicates(["modality", "id", "target"], keep="last")
    here = zip(last["modality"], last["id"], last["target"], last["round"])
    return last[np.array([one not in answered for one in here], dtype=bool)]
