"""A training under way: iterate for its Records, or ask for the result, which finishes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from modest.types import Record

__all__ = ["Run"]

T = TypeVar("T")


class Run(Generic[T]):
    """Records of a training, one by one.

    Parameters
    ----------
    records : iterator of Record
        It trains while it is read.
    result : function
        Gives what was trained, once ``records`` is exhausted.
    """

    def __init__(self, records: Iterator[Record], result: Callable[[], T]) -> None:
        self._records = records
        self._result = result

    def __iter__(self) -> Iterator[Record]:
        """Go on training, yielding Records."""
        return self

    def __next__(self) -> Record:
        """Train up to the next Record."""
        return next(self._records)

    @property
    def result(self) -> T:
        """What was trained; trains to the end first if need be."""
        for _ in self._records:
            pass
        return self._result()
