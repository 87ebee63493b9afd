"""Samples of shards, one after the other, without reading a shard whole: WebDataset tars and Parquet tables.

In a tar a sample is a run of members with one key, see :mod:`modest.data.tar_samples`; in a Parquet table it is a row.
At any time one sample of a tar, or some rows of a row group, is in memory, however many shards there are.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal

from modest.checks import known
from modest.data.tar_samples import read_tar

ENDINGS = (".tar", ".tar.gz", ".tgz", ".parquet")
SHOWN = 16  # sentences about skipped samples that are kept
ROWS = 256  # of a Parquet table at once
NAMES = ("id", "uid", "key", "__key__")


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample: ``id`` (a key or the cell of an id column), ``shard`` it is from, ``fields`` by name.

    Of a tar, ``txt`` is text, ``json`` its object, all else bytes; of a table, lists are arrays, all else plain values.
    """

    id: str
    shard: str
    fields: Mapping[str, Any]


class Samples:
    """All samples of some shards, in order, read anew by every loop over it.

    Parameters
    ----------
    shards : path or sequence of paths
        ``.tar``, ``.tar.gz``, ``.tgz`` or ``.parquet``; ``{000..012}`` is a range; a folder is all shards in it.
    fields : names, optional
        Fields or columns to read, all by default; a sample that lacks one simply does not have it.
    id : str, optional
        Column of a table with the ids: ``id``, ``uid``, ``key`` or ``__key__`` by default, else the name of the shard
        and the row.
    on_error : "raise" or "skip"
        What to do at a sample that cannot be read, or where a shard is cut off or damaged: stop, or leave out the
        sample (the rest of the tar, the row group). One warning at the end says how many were left out.

    Attributes
    ----------
    skipped : how many damaged places the last loop left out; ``reasons`` one sentence for each of the first 16.

    Raises
    ------
    FileNotFoundError, ValueError
        A shard that is not there or of another kind, at once; a damaged one in the loop, with the shard and the sample
        it had come to.

    Examples
    --------
    >>> braces("shard-{08..10}.tar")
    ['shard-08.tar', 'shard-09.tar', 'shard-10.tar']
    """

    def __init__(
        self,
        shards: str | Path | Sequence[str | Path],
        *,
        fields: Sequence[str] | None = None,
        id: str | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        known(on_error, ("raise", "skip"), "on_error")
        given = [shards] if isinstance(shards, (str, Path)) else list(shards)
        self.shards = [path for one in given for name in braces(str(one)) for path in _shards(Path(name))]
        if not self.shards:
            raise ValueError("shards is empty; name at least one tar or Parquet file.")
        self.fields = None if fields is None else tuple(fields)
        self.id, self.on_error = id, on_error
        self.skipped, self.reasons = 0, list[str]()

    def __iter__(self) -> Iterator[Sample]:
        """Yield sample after sample."""
        self.skipped, self.reasons = 0, []
        for path in self.shards:
            if path.suffix.lower() == ".parquet":
                yield from _table(self, path)
            else:
                for key, found in read_tar(path, self.wants, self.damaged):
                    yield Sample(key, str(path), found)
        if self.skipped:
            told = f"{self.skipped} damaged places were skipped, the first: {self.reasons[0]}"
            warnings.warn(told, stacklevel=2)

    def batches(self, size: int) -> Iterator[list[Sample]]:
        """Yield lists of ``size`` samples; the last may be shorter."""
        if size < 1:
            raise ValueError(f"size={size} leaves nothing in a batch; give at least 1.")
        stream = iter(self)
        while some := list(islice(stream, size)):
            yield some

    def wants(self, name: str) -> bool:
        """Whether a field is to be read."""
        return self.fields is None or name in self.fields

    def damaged(self, told: str) -> None:
        """Raise ``told``, or count it.

        Raises
        ------
        ValueError
            Unless damage is to be skipped.
        """
        if self.on_error == "raise":
            raise ValueError(told) from None
        self.skipped += 1
        self.reasons = [*self.reasons, told][:SHOWN]


def braces(name: str) -> list[str]:
    """Names with every range ``{first..last}`` written out; numbers keep the width of the first."""
    parts = re.split(r"\{(\d+)\.\.(\d+)\}", name)
    ranges = []
    for first, last in zip(parts[1::3], parts[2::3]):
        if int(last) < int(first):
            raise ValueError(f"shards has the range {{{first}..{last}}}, which ends before it begins; turn it round.")
        ranges.append([f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)])
    return ["".join(text for two in zip(parts[::3], [*drawn, ""]) for text in two) for drawn in product(*ranges)]


def _shards(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.name.lower().endswith(ENDINGS))
        if not found:
            raise ValueError(f"{path} holds no shard; shards end in {', '.join(ENDINGS)}.")
        return found
    if not path.name.lower().endswith(ENDINGS):
        raise ValueError(f"{path} is no shard; shards end in {', '.join(ENDINGS)}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; give the path of a shard.")
    return [path]


def _table(how: Samples, path: Path) -> Iterator[Sample]:
    """Samples of one Parquet table, row group by row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    damage = (pa.ArrowException, OSError, UnicodeDecodeError)
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True)
    except damage as error:
        how.damaged(f"{path} is cut off or no Parquet file ({_short(error)}); fetch the shard again.")
        return
    with closing(table):
        there = table.schema_arrow.names
        column = how.id or next((name for name in NAMES if name in there), None)
        if column is not None and column not in there:
            raise ValueError(f"{path} has no column {column!r} for ids; its columns are {', '.join(there)}.")
        columns = [name for name in there if how.wants(name) or name == column]
        row = 0
        for group in range(table.num_row_groups):
            end = row + table.metadata.row_group(group).num_rows
            try:
                for batch in table.iter_batches(ROWS, [group], columns):
                    yield from _rows(path, batch, column, row, how.wants)
                    row += len(batch)
            except damage as error:
                how.damaged(f"{path} is damaged at row {row}, row group {group} ({_short(error)}); fetch it again.")
            row = end


def _rows(path: Path, batch: Any, column: str | None, first: int, wants: Callable[[str], bool]) -> Iterator[Sample]:
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    cells = {}
    for name, values in zip(batch.schema.names, batch.columns):
        vectors = any(test(values.type) for test in lists)
        cells[name] = list(values.to_numpy(zero_copy_only=False)) if vectors else values.to_pylist()
    for k in range(len(batch)):
        name = f"{path.stem}/{first + k}" if column is None else str(cells[column][k])
        yield Sample(name, str(path), {name: cells[name][k] for name in cells if wants(name)})


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")[:120] if str(error).strip() else type(error).__name__
