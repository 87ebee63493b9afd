"""A training under way: iterate for its Records, or ask for the result, which finishes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

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
    about : mapping, optional
        Settings that decide the outcome, known before anything is trained.
    """

    def __init__(
        self, records: Iterator[Record], result: Callable[[], T], about: Mapping[str, Any] | None = None
    ) -> None:
        self._records = records
        self._result = result
        self.about: dict[str, Any] = dict(about or {})

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
