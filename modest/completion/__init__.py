"""Completions: ways of training a classifier that imagine what an item lacks, and what they are measured against.

A completion is a recipe like those of ``modest.learning``, built as ``METHODS[name].build(towers, names, classes,
generator, options)``, trained by the one loop and asked through ``MultimodalClassifier(method=name)``. Recipes that
leave absent modalities out need none of this; a choice among all is made in ``modest.classifier``.
"""

from modest.completion.hiding import answers, draw, hidden, only
from modest.completion.methods import METHODS, Imagining

__all__ = ["METHODS", "Imagining", "answers", "draw", "hidden", "only"]
