"""Recipes: ways of training a classifier on several modalities so that none is lazy and absent ones do no harm.

A recipe is built as ``METHODS[name].build(towers, names, classes, generator, options)`` and trained by the one loop.
"""

from modest.learning.fusion import FUSIONS, entropy_fusion, mean_fusion
from modest.learning.methods import METHODS, Method, Recipe, Surveying
from modest.learning.projection import GradientProjector
from modest.learning.towers import FILLS, Towers

__all__ = [
    "FILLS",
    "FUSIONS",
    "METHODS",
    "GradientProjector",
    "Method",
    "Recipe",
    "Surveying",
    "Towers",
    "entropy_fusion",
    "mean_fusion",
]
