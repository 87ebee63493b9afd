"""Pure functions on arrays that say how good something is, and how sure we are of it."""

from modest.evaluation.agreement import (
    Agreement,
    agreement,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    majority,
)
from modest.evaluation.balance import ClassBalance, class_balance
from modest.evaluation.calibration import Calibration, calibration
from modest.evaluation.cartography import (
    DataMap,
    confidence_bins,
    confidence_ranks,
    data_map,
    label_confidence,
    preference,
)
from modest.evaluation.curves import Curve, Difference, compare, curve, resamples, tied_with_best
from modest.evaluation.datacomp import DataComp, datacomp
from modest.evaluation.enough import Enough, enough
from modest.evaluation.groups import GroupScores, group_scores
from modest.evaluation.learning_curves import area, auroc, saving
from modest.evaluation.metrics import METRICS, accuracy, macro_accuracy, recalls, scores, summary, weighted_f1
from modest.evaluation.paired import compare_rows
from modest.evaluation.retrieval import recall_at_k, retrieval
from modest.evaluation.what_if import Pattern, WhatIf, Worth, by_patterns, what_if

__all__ = [
    "METRICS",
    "Agreement",
    "Calibration",
    "ClassBalance",
    "Curve",
    "DataComp",
    "DataMap",
    "Difference",
    "Enough",
    "GroupScores",
    "Pattern",
    "WhatIf",
    "Worth",
    "accuracy",
    "agreement",
    "area",
    "auroc",
    "by_patterns",
    "calibration",
    "class_balance",
    "cohen_kappa",
    "compare",
    "compare_rows",
    "confidence_bins",
    "confidence_ranks",
    "curve",
    "data_map",
    "datacomp",
    "enough",
    "fleiss_kappa",
    "group_scores",
    "krippendorff_alpha",
    "label_confidence",
    "macro_accuracy",
    "majority",
    "preference",
    "recall_at_k",
    "recalls",
    "resamples",
    "retrieval",
    "saving",
    "scores",
    "summary",
    "tied_with_best",
    "weighted_f1",
    "what_if",
]
