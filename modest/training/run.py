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
        self._failed: Exception | None = None
        self.about: dict[str, Any] = dict(about or {})

    def __iter__(self) -> Iterator[Record]:
        """Go on training, yielding Records."""
        return self

    def __next__(self) -> Record:
        """Train up to the next Record."""
        try:
            return next(self._records)
        except StopIteration:
            raise
        except Exception as error:
            self._failed = error
            raise

    @property
    def result(self) -> T:
        """What was trained; trains to the end first if need be.

        Raises
        ------
        RuntimeError
            If the training failed before.
        """
        if self._failed is not None:
            raise RuntimeError(f"the training failed ({self._failed}), so it has no result.") from self._failed
        for _ in self:
            pass
        return self._result()
