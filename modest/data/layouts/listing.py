"""What a layout finds in a folder before anything is left out, and the table that is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.data.features import Feature

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Listing:
    """Rows of a data set with what is there of them.

    ``rows`` have id, the columns of ``raw`` (None = not there), those of ``more``, label and split, and perhaps
    ``wanted``: raw column -> the file that was looked for. ``groups`` names the columns of ``more`` whose values should
    stand in one split only (speakers, sessions). ``published`` counts rows as the data set's authors or users did:
    ``items``, splits, ``classes`` and columns of ``more``. ``pointers`` are files that are Git LFS pointers, ``empty``
    those without a byte, ``unlisted`` media that no list names; ``notes`` are sentences that whoever reads the numbers
    should know, ``features`` the views that the data set brings.
    """

    rows: Sequence[Mapping[str, Any]]
    raw: Sequence[str]
    classes: Sequence[str] = ()
    more: Sequence[str] = ()
    groups: Sequence[str] = ()
    published: Mapping[str, int] = field(default_factory=dict)
    pointers: Sequence[str] = ()
    empty: Sequence[str] = ()
    unlisted: Sequence[str] = ()
    notes: Sequence[str] = ()
    features: Mapping[str, Callable[[], Feature]] = field(default_factory=dict)

    def flaws(self) -> list[str]:
        """One sentence for each kind of file that is there and holds nothing."""
        told = []
        if self.pointers:
            about = f"{len(self.pointers)} media are pointers of Git LFS, not fetched (the first: {self.pointers[0]})"
            told.append(f"{about}; fetch them with: git lfs pull")
        if self.empty:
            told.append(f"{len(self.empty)} media are empty (the first: {self.empty[0]}); copy them again.")
        return told

    def names(self) -> list[str]:
        """Names of the classes that rows have, those of ``classes`` first; none where labels are numbers."""
        found = {str(row["label"]) for row in self.rows if row["label"] is not None}
        if all(label.isdigit() for label in found):
            return []
        known = [name for name in dict.fromkeys(self.classes) if name in found]
        return [*known, *sorted(found - set(known))]

    def table(self, folder: Path, hint: str) -> pd.DataFrame:
        """Table of id, raw columns, columns of ``more`` that say something, label, split.

        Rows with none of their media are left out and named in ``attrs["missing"]``; ``attrs["lost"]`` counts per
        column the rows without it; ``attrs["classes"]``, ``["features"]`` and ``["notes"]`` are those of the listing.

        Raises
        ------
        ValueError
            If no item is left; ``hint`` says what the layout looks for.
        """
        import pandas as pd

        kept = [row for row in self.rows if any(row[name] is not None for name in self.raw)]
        if not kept:
            lists = f"{len(self.rows)} items are named and none has its files there"
            told = "; ".join([lists if self.rows else "it has no list or clip", *self.flaws()]).rstrip(".")
            raise ValueError(f"{folder} cannot be read: {told}; {hint}")
        more = [name for name in self.more if any(row.get(name) is not None for row in kept)]
        left = Listing(kept, self.raw, self.classes)
        frame = pd.DataFrame(kept, columns=["id", *self.raw, *more, "label", "split"], dtype=object)
        frame.attrs["classes"] = left.names()
        frame.attrs["lost"] = {name: sum(row[name] is None for row in self.rows) for name in self.raw}
        frame.attrs["missing"] = [row["id"] for row in self.rows if all(row[name] is None for name in self.raw)]
        frame.attrs["notes"] = [*self.notes, *self.flaws()]
        frame.attrs["features"] = dict(self.features)
        return frame
