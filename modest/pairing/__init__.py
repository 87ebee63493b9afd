"""Which alignments to buy. One file per way; ``METHODS`` lists them; :func:`choose` is the one door."""

from modest.pairing import random
from modest.pairing.door import choose
from modest.pairing.methods import METHODS, Method
from modest.types import Answer, Query

__all__ = ["METHODS", "Answer", "Method", "Query", "choose", "random"]
