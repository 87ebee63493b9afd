"""B free rows drawn uniformly, over every direction that may be asked: the yardstick of all others.

Cost n. A direction is drawn in proportion to the free rows of the side it asks; no row is asked twice.
"""

from __future__ import annotations

import numpy as np

from modest.data.keys import order, uniform
from modest.pairing.sides import Asked, Setting


def random(setting: Setting, budget: int) -> list[Asked]:
    """Draw ``budget`` rows by (seed, round, side, id); a side that is asked towards several targets shares them out.

    See :func:`modest.pairing.choose` for what is given and returned.
    """
    names = list(dict.fromkeys(way[0] for way in setting.askable))
    places = [(name, row) for name in names for row in setting.sides[name].open.tolist()]
    told = [f"{name}/{setting.sides[name].rows.ids[row]}" for name, row in places]
    drawn = [places[k] for k in order(told, setting.seed, f"pairing/{setting.round}")[:budget].tolist()]
    asked: dict[tuple[str, str], list[int]] = {}
    for name, row in drawn:
        targets = [way for way in setting.askable if way[0] == name]
        luck = uniform([str(setting.sides[name].rows.ids[row])], setting.seed, f"target/{setting.round}/{name}")[0]
        asked.setdefault(targets[int(luck * len(targets))], []).append(row)
    return [Asked(a, b, np.array(rows, dtype=np.int64)) for (a, b), rows in asked.items()]
