"""The encoders of a classifier put together: towers over ready views, networks over raw media, or pretrained ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modest.encoders.reading import Reading
from modest.encoders.spec import backbone_of, ready_names
from modest.encoders.towers import Tower, identity, linear
from modest.encoders.trainable import Backbone, build
from modest.learning.inputs import Reader, ready_views
from modest.representation.embedding import FORMAT, KIND, Representation
from modest.training import read_config

__all__ = ["Assembly", "Projected", "as_given", "assemble", "assembled", "described", "rebuilt"]


class Projected(nn.Module):
    """An encoder and its linear projector: (k, ...) -> (k, width)."""

    def __init__(self, encoder: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector

    def forward(self, x: Tensor) -> Tensor:
        """Projected features; their length is free."""
        features: Tensor = self.projector(self.encoder(x))
        return features


@dataclass(frozen=True, eq=False)
class Assembly:
    """One module per modality, all emitting ``width`` features, and how each reads its input.

    ``widths`` name -> d of a ready view, None over raw media; ``readings`` name -> Reading, None over a ready view;
    ``configs`` name -> config of the Backbone, None for a plain tower.
    """

    modules: Mapping[str, nn.Module]
    width: int
    widths: Mapping[str, int | None]
    readings: Mapping[str, Reading | None]
    configs: Mapping[str, Mapping[str, Any] | None]

    def rates(self, given: Mapping[str, float]) -> dict[str, float]:
        """Learning rates by modality and for "projectors", as prefixes of parameter names in a recipe's net.

        Raises
        ------
        ValueError
            For a name that is neither a modality nor "projectors", which need encoders over raw media or pretrained.
        """
        projected = [m for m, module in enumerate(self.modules.values()) if isinstance(module, Projected)]
        place = {name: [f"towers.encoders.{m}"] for m, name in enumerate(self.modules)}
        for m in projected:
            place[list(self.modules)[m]] = [f"towers.encoders.{m}.encoder"]
        place["projectors"] = [f"towers.encoders.{m}.projector" for m in projected]
        for name in given:
            if not place.get(name):
                raise ValueError(f"rates names {name!r}; known: {', '.join(key for key, at in place.items() if at)}.")
        return {prefix: rate for name, rate in given.items() for prefix in place[name]}


def assemble(
    encoders: Mapping[str, Any] | Representation | None,
    widths: Mapping[str, int],
    hidden: Sequence[int],
    width: int,
    generator: torch.Generator,
) -> Assembly:
    """Build the encoders of a classifier.

    Parameters
    ----------
    encoders : None for a tower over every ready view; a Representation to start from (its width is taken); or modality
        -> "mlp" (a tower over the ready view), name of ``encoders.BACKBONES``, {"name": ..., knobs}, or Backbone
    widths : modality -> d of the ready views there are
    hidden, width : of towers; width also of projectors
    generator : seeded, of first weights

    Raises
    ------
    ValueError
        For an unknown encoder or knob, or a tower over a view that is not there.
    """
    if isinstance(encoders, Representation):
        nets = {
            name: Projected(copy.deepcopy(encoder), _layer(projector, encoders.net.width))
            for name, encoder, projector in zip(encoders.names, encoders.net.encoders, encoders.net.projectors)
        }
        configs = {name: dict(encoders.backbones[name].config) for name in encoders.names}
        readings = {name: encoders.backbones[name].reading for name in encoders.names}
        needs = {name: configs[name].get("inputs") for name in encoders.names}
        return Assembly(nets, encoders.net.width, needs, readings, configs)
    modules: dict[str, nn.Module] = {}
    backbones: dict[str, Backbone | None] = {}
    given = dict.fromkeys(widths, "mlp") if encoders is None else encoders
    if not given:
        raise ValueError("encoders is empty; name at least one modality, or leave it out for all ready views.")
    over_views = ready_names(given)
    for name, spec in given.items():
        if name in over_views and name not in widths:
            raise ValueError(f"X has no ready view {name!r} for an mlp; it has {', '.join(widths) or 'none'}.")
        backbones[name] = None if spec == "mlp" else backbone_of(spec, widths.get(name), generator)
        modules[name] = _module(name, backbones[name], widths, hidden, width, generator)
    return _described(modules, backbones, width, widths)


def _layer(projector: nn.Module, width: int) -> nn.Linear:
    """Projector to start from: the representation's own, or one that changes nothing where its encoders need none."""
    return copy.deepcopy(projector) if isinstance(projector, nn.Linear) else identity(width)


def assembled(
    X: Any,
    encoders: Any,
    sources: tuple[Mapping[str, str], Mapping[str, str]],
    sizes: tuple[Sequence[int], int],
    generator: torch.Generator,
    seed: int,
) -> tuple[Assembly, Reader]:
    """Encoders of a classifier over X, and how they read it.

    Parameters
    ----------
    X, encoders : as the classifier takes them
    sources : (views, columns), modality -> encoder of a ready view, and modality -> raw column, where not the usual
    sizes : (hidden, width), see :func:`assemble`
    generator, seed : of first weights, and of augmentation
    """
    encoders = pretrained(encoders)
    before = encoders.sources if isinstance(encoders, Representation) else {}
    views, columns = {**before.get("encoders", {}), **sources[0]}, {**before.get("columns", {}), **sources[1]}
    widths, made_by = ready_views(X, needed_views(encoders), views)
    made = assemble(encoders, widths, *sizes, generator)
    return made, Reader(made.widths, made.readings, made_by, columns, seed)


def rebuilt(told: Sequence[Mapping[str, Any]], hidden: Sequence[int], width: int) -> Assembly:
    """Assembly of a saved classifier, weights still to be restored; ``told`` is what :func:`described` gave."""
    generator = torch.Generator().manual_seed(0)
    modules: dict[str, nn.Module] = {}
    backbones: dict[str, Backbone | None] = {}
    widths = {str(m["name"]): m["width"] for m in told}
    for about in told:
        backbone = None if about["backbone"] is None else build(**about["backbone"], generator=generator)
        backbones[about["name"]] = backbone
        modules[about["name"]] = _module(about["name"], backbone, widths, hidden, width, generator)
    return _described(modules, backbones, width, widths)


def described(made: Assembly) -> list[dict[str, Any]]:
    """JSON form of an assembly's architecture."""
    return [{"name": m, "width": made.widths[m], "backbone": made.configs[m]} for m in made.modules]


def as_given(told: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """``encoders`` that make the architecture of a saved classifier again, from scratch; None for plain towers."""
    if all(about["backbone"] is None for about in told):
        return None
    return {about["name"]: about["backbone"] or "mlp" for about in told}


def pretrained(encoders: Any) -> Any:
    """Read a folder of a Representation, if a folder is given; anything else is returned as it is."""
    if not isinstance(encoders, (str, PathLike)):
        return encoders
    folder = Path(encoders)
    return Representation.from_config(folder, read_config(folder, {KIND: FORMAT}))


def needed_views(encoders: Mapping[str, Any] | Representation | None) -> list[str] | None:
    """Modalities whose ready view is read; None when it is up to the table."""
    if encoders is None:
        return None
    if isinstance(encoders, Representation):
        return [name for name in encoders.names if encoders.backbones[name].reading is None]
    return ready_names(encoders)


def _described(
    modules: Mapping[str, nn.Module],
    backbones: Mapping[str, Backbone | None],
    width: int,
    widths: Mapping[str, int | None],
) -> Assembly:
    readings = {name: None if b is None else b.reading for name, b in backbones.items()}
    needs = {name: widths[name] if readings[name] is None else None for name in modules}
    return Assembly(modules, width, needs, readings, {n: None if b is None else b.config for n, b in backbones.items()})


def _module(
    name: str,
    backbone: Backbone | None,
    widths: Mapping[str, int | None],
    hidden: Sequence[int],
    width: int,
    generator: torch.Generator,
) -> nn.Module:
    if backbone is not None:
        return Projected(backbone.net, linear(backbone.width, width, generator))
    inputs = widths[name]
    assert inputs is not None, "a tower stands on a ready view"
    return Tower(inputs, width, generator, hidden)
