"""``modest methods``: what can be chosen from, with needs, cost and source."""

from __future__ import annotations

from modest.cli.output import JSON, finish, table


def command(json: bool = JSON) -> None:
    """List the selection strategies, the training recipes and the completions.

    Example: modest methods --json
    """
    from modest.completion import METHODS as COMPLETIONS
    from modest.learning import METHODS as RECIPES
    from modest.selection import METHODS

    strategies = [
        {"name": name, "cold": m.cold, "needs": list(m.needs), "uses": list(m.uses), "cost": m.cost, "paper": m.paper}
        for name, m in METHODS.items()
    ]
    recipes, completions = (
        [{"name": name, "does": method.summary, "paper": method.paper} for name, method in of.items()]
        for of in (RECIPES, COMPLETIONS)
    )
    rows = [
        (s["name"], "yes" if s["cold"] else "no", ", ".join(s["needs"]) or "-", s["cost"], s["paper"])  # type: ignore[arg-type]
        for s in strategies
    ]
    text = [
        table("Selection (modest select --method NAME; n rows, b budget, d features)",
              ("name", "without labels", "needs", "cost", "source"), rows),
        "",
        table("Recipes (modest train --method NAME)", ("name", "source"), [(r["name"], r["paper"]) for r in recipes]),
        "",
        table("Completions, for absent modalities (modest train --method NAME)", ("name", "source"),
              [(c["name"], c["paper"]) for c in completions]),
    ]
    told = {"selection": strategies, "recipes": recipes, "completions": completions}
    finish(told, json, text, following="modest select POOL --budget 0.01")
