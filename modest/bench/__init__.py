"""Honest comparisons under a budget: protocol, resumable run, results and tables."""

from modest.bench.protocol import Protocol
from modest.bench.run import run
from modest.bench.sets import LabelledViews
from modest.bench.store import about_bench, results
from modest.bench.tables import best, grid, summarise, text

__all__ = ["LabelledViews", "Protocol", "about_bench", "best", "grid", "results", "run", "summarise", "text"]
