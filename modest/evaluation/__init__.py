"""Pure functions on arrays that say how good something is, and how sure we are of it."""

from modest.evaluation.balance import ClassBalance, class_balance
from modest.evaluation.cartography import (
    DataMap,
    confidence_bins,
    confidence_ranks,
    data_map,
    label_confidence,
    preference,
)
from modest.evaluation.curves import Curve, Difference, compare, curve, resamples, tied_with_best
from modest.evaluation.groups import GroupScores, group_scores
from modest.evaluation.metrics import METRICS, accuracy, macro_accuracy, recalls, scores, summary, weighted_f1

__all__ = [
    "METRICS",
    "ClassBalance",
    "Curve",
    "DataMap",
    "Difference",
    "GroupScores",
    "accuracy",
    "class_balance",
    "compare",
    "confidence_bins",
    "confidence_ranks",
    "curve",
    "data_map",
    "group_scores",
    "label_confidence",
    "macro_accuracy",
    "preference",
    "recalls",
    "resamples",
    "scores",
    "summary",
    "tied_with_best",
    "weighted_f1",
]
