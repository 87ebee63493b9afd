"""The array engines, each written once: unit rows in tiles, nearest, top-k, k-means, farthest-first, typicality,
greedy coverage, k-means++ over outer products.

The only room that knows tiles, bf16, devices and memory-mapped views.
"""

from modest.neighbours.closest import closest
from modest.neighbours.coverage import Coverage, greedy_coverage
from modest.neighbours.density import closest_pair, most_typical, other_distance, typicality
from modest.neighbours.device import decide, fast_bfloat16
from modest.neighbours.farthest import covered_distance, farthest_first, mean_distance
from modest.neighbours.kmeans import kmeans, nearest_members
from modest.neighbours.nearest import match, nearest, softmax_sums, top_k
from modest.neighbours.plusplus import Products, plus_plus
from modest.neighbours.rows import Block, Rows
from modest.neighbours.softmax import log_sum_exp
from modest.neighbours.standing import Standing

__all__ = [
    "Block",
    "Coverage",
    "Products",
    "Rows",
    "Standing",
    "closest",
    "closest_pair",
    "covered_distance",
    "decide",
    "farthest_first",
    "fast_bfloat16",
    "greedy_coverage",
    "kmeans",
    "log_sum_exp",
    "match",
    "mean_distance",
    "most_typical",
    "nearest",
    "nearest_members",
    "other_distance",
    "plus_plus",
    "softmax_sums",
    "top_k",
    "typicality",
]
