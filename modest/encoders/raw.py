"""Which raw column of a pool a modality is encoded from, and what kind of media it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from modest.data import files
from modest.data.layout import RESERVED
from modest.data.media import kind as ending
from modest.data.pool import Pool
from modest.encoders.encoder import KINDS, missing

LOOKED_AT = 1000  # values of a column that say what kind it is


def raw_columns(pool: Pool) -> dict[str, str]:
    """Raw columns of texts or files in a pool, each with its kind; ``text`` where values are no media, or ``empty``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = pool.path / "pool.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; ingest the pool again.")
    schema = pq.read_schema(path)
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    names = [f.name for f in schema if f.name not in RESERVED and any(test(f.type) for test in tests)]
    found = {}
    for name in names:
        values = files.read_table(path, [name])[name].tolist()
        found[name] = "empty" if all(map(missing, values)) else kind_of(values) or "text"
    return found


def column_of(pool: Pool, modality: str, columns: Mapping[str, str] | None = None) -> str:
    """Name of the raw column of a modality: the one given, the one of its name, or for ``audio`` the one of videos.

    Raises
    ------
    ValueError
        If there is none; the sentence names the raw columns there are.
    """
    found = raw_columns(pool)
    wanted = (columns or {}).get(modality, modality)
    if wanted in found:
        return wanted
    clips = [name for name, kind in found.items() if kind == "video"]
    if modality == "audio" and wanted == modality and len(clips) == 1:
        return clips[0]
    told = ", ".join(f"{name} ({kind})" for name, kind in found.items()) or "none"
    example = next((name for name, kind in found.items() if kind == modality), next(iter(found), "COLUMN"))
    raise ValueError(
        f"{pool.path} has no raw column {wanted!r} for {modality} (it has {told}); "
        f"name one with --from {modality}={example}."
    )


def values_of(pool: Pool, column: str) -> list[Any]:
    """(n,) raw values of one column, in the order of the pool's rows, without what a cut append left behind."""
    values: list[Any] = files.read_table(pool.path / "pool.parquet", [column])[column].tolist()
    return values[: len(pool)]


def kind_of(values: Sequence[Any]) -> str | None:
    """Kind that most of the first values have by their ending; None where most have no known ending, or none is there.

    Examples
    --------
    >>> kind_of(["a.jpg", "b.png", None]), kind_of(["a red shoe", "see it all in a.jpg for free"])
    ('image', None)
    """
    counts: Counter[str | None] = Counter()
    for value in values:
        if not missing(value):
            counts[ending(str(value)) if len(str(value)) <= 4096 else None] += 1
        if counts.total() >= LOOKED_AT:
            break
    return counts.most_common(1)[0][0] if counts else None


def encoded_as(modality: str, column: str, values: Sequence[Any], readable: Sequence[str]) -> str:
    """Kind to encode a column as, of those an encoder can read.

    The values decide by their endings; the sound of videos serves where sound is asked for, by the modality's name or
    by the encoder. Values without an ending take the modality's name, or are texts for an encoder that reads only text.

    Raises
    ------
    ValueError
        If the column has no value, or nothing says what its values are.
    """
    if all(missing(value) for value in values):
        raise ValueError(f"the raw column {column!r} has no value at all, so {modality} cannot be encoded from it.")
    found = kind_of(values)
    if found == "video" and (modality == "audio" or tuple(readable) == ("audio",)):
        return "audio"
    if found is not None:
        return found
    if modality in KINDS:
        return modality
    if tuple(readable) == ("text",):
        return "text"
    raise ValueError(
        f"nothing says whether the raw column {column!r} holds image, audio, video or text; embed it as one of "
        f"these, e.g. --text URI --from text={column}."
    )
