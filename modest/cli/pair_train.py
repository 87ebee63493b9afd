"""``modest pair train``: fine-tune on the pairs that were bought, and write the views of every row."""

from __future__ import annotations

from pathlib import Path

import typer

from modest.cli.output import JSON, SEED, finish, progress
from modest.cli.pairs import pairs


def command(
    pool: Path = typer.Argument(..., help="Folder of the pool."),
    towers: str = typer.Option("linear", "--towers", help="linear or mlp over ready views; or CLIP-B32=FOLDER, ..."),
    loss: str = typer.Option(None, "--loss", help="clip or siglip; the model's own when left out."),
    lock: str = typer.Option(None, "--lock", help="Side that stays as it is; image is LiT."),
    preset: str = typer.Option(None, "--preset", help="small (towers), ttm (models), s-clip, open_clip."),
    again: bool = typer.Option(
        False, "--continue/--restart", help="From the last round's model, or the first weights."
    ),
    epochs: int = typer.Option(None, "--epochs", help="Passes over the pairs, in place of the preset's."),
    lr: float = typer.Option(None, "--lr", help="Learning rate, in place of the preset's."),
    batch_size: int = typer.Option(None, "--batch-size", help="Pairs of a step; part of the CLIP loss."),
    width: int = typer.Option(128, "--width", help="Features of the common space of towers."),
    view: list[str] = typer.Option([], "--view", help="SIDE=ENCODER: the ready view of a tower. Repeatable."),
    column: list[str] = typer.Option([], "--from", help="SIDE=COLUMN: the raw column of a model. Repeatable."),
    split: str = typer.Option("train", "--split", help="Whose pairs are used; 'all' for every row."),
    name: str = typer.Option("pairs", "--name", help="Of the model and of the views."),
    memory: str = typer.Option("2GB", "--memory", help="Of decoded media kept between epochs."),
    device: str = typer.Option(None, "--device", help="cpu or cuda; decided by modest if left out."),
    seed: int = SEED,
    json: bool = JSON,
) -> None:
    """Fine-tune on the pairs a pool knows: rows with two modalities, and those bought.

    The new views become the pool's default, for the next `modest pair choose`. A killed run goes on after its last
    epoch. Models: CLIP-B32, CLIP-L14, LiT-L14, SigLIP-B16, SigLIP-L16, each =FOLDER, or alone from the hub.

    Example: modest pair train pool --towers linear
    Example: modest pair train pool --towers SigLIP-B16=siglip-base-patch16-224 --preset ttm --continue
    """
    import modest
    from modest.representation.paired import learn_pairs

    opened = modest.open(pool)
    numbers = {key: value for key, value in {"epochs": epochs, "lr": lr}.items() if value is not None}
    with progress("training", hidden=json) as report:
        made = learn_pairs(
            opened, towers, name=name, loss=loss, lock=lock, preset=preset, again=again, width=width,
            views=pairs(view, "--view", "SIDE=ENCODER"), columns=pairs(column, "--from", "SIDE=COLUMN"),
            split=None if split == "all" else split,
            batch_size=batch_size, seed=seed, device=device, memory=memory, progress=report, **numbers,
        )  # fmt: skip
    about = made.about
    losses = [epoch["all"] for epoch in about["history"]]
    told = [
        f"{', '.join(made.names)}: {about['pairs']} pairs, {about['loss']} loss, batches of {about['batch_size']}",
        f"{about['round']}, {len(losses)} epochs, loss {losses[0]:.3f} to {losses[-1]:.3f}",
        f"views {name} are the pool's default now; the model is {opened.path / 'models' / name}",
    ]
    payload = {key: about[key] for key in ("pairs", "loss", "lock", "batch_size", "plan", "scale", "round", "history")}
    payload |= {"pool": str(opened.path), "name": name, "towers": about["towers"]}
    finish(payload, json, told, f"modest pair choose {opened.path} --budget 0.05 --views {_named(made.names, name)}")


def _named(sides: tuple[str, ...], name: str) -> str:
    return ",".join(f"{side}={name}" for side in sides)
