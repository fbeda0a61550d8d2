"""The records of the collection: what notebooks hand over, and the tables in ``data/results``."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pe_lib import DATA, check

# IPython is imported where it is used: reading a table needs none.

MIME = "application/vnd.pe_lib.records+json"  # marks what was reported among the outputs of a notebook


def report(records: list[dict]) -> None:
    """Hand ``records``, one dict a result, from a notebook to the record of its run; see `runs.table`.

    TypeError if it is not a list of dicts, or holds what JSON cannot; NaN is such a thing.
    """
    from IPython.display import publish_display_data

    records = check.several("records", records, dict)
    text = "1 record" if len(records) == 1 else f"{len(records)} records"
    publish_display_data({MIME: plain("records", records), "text/plain": text})


def read(name: str) -> pd.DataFrame:
    """The table ``data/results/NAME.csv``, wherever the caller stands.

    ValueError, with the names there are, if it is none of them.
    """
    check.choice("name", name, sorted(path.stem for path in (DATA / "results").glob("*.csv")))
    return pd.read_csv(DATA / "results" / f"{name}.csv")


def plain(name: str, value: Any) -> Any:
    """The value as JSON gives it back: a tuple is a list, a NumPy number is a number.

    TypeError, with ``name``, for what JSON cannot hold: NaN, times, masked numbers, and keys that it writes alike.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=_number), object_pairs_hook=_distinct)
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise TypeError(f"{name} must be what JSON can hold, got {check.short(value)}: {error}") from None


def _number(value: Any) -> Any:
    """A number of NumPy or torch as one of Python."""
    if np.ma.is_masked(value) or isinstance(value, np.datetime64 | np.timedelta64):
        raise TypeError(f"{value!r} is no number")
    return value.item()


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of pairs whose keys differ."""
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"two keys are written alike, keys {', '.join(keys)}")
    return dict(pairs)


def write_whole(path: Path, content: str | bytes) -> None:
    """Put all of the content at ``path``, or leave what is there."""
    path = check.path("path", path)
    check.instance("content", content, str, bytes)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def summary(
    records: list[dict[str, Any]] | pd.DataFrame, by: Iterable[str] = ("encoding", "step"), value: str = "accuracy"
) -> pd.DataFrame:
    """Mean, lowest and highest ``value`` over the seeds, and their number.  -> a row for each group of ``by``

    The groups keep the order of the records.  A seed that comes twice in a group raises ValueError: then the records
    differ in something that is not in ``by``.  So does a column that is not there, and a ``value`` that is no number
    in one of the records: the mean of the others would be that of another group.

    >>> trials = [{"encoding": "rope", "seed": seed, "step": 5, "accuracy": seed / 4} for seed in (0, 1)]
    >>> summary(trials).to_dict("records")
    [{'encoding': 'rope', 'step': 5, 'mean': 0.125, 'low': 0.0, 'high': 0.25, 'seeds': 2}]
    """
    columns = check.several("by", by, str)
    check.instance("value", value, str)
    table = records if isinstance(records, pd.DataFrame) else pd.DataFrame(check.several("records", records, dict))
    for name, wanted in (("by", columns), ("value", [value]), ("records", ["seed"])):
        missing = [str(column) for column in wanted if column not in table.columns]
        if missing or not wanted:
            there = ", ".join(map(str, table.columns)) or "none"
            raise ValueError(
                f"{name} must be there as columns, got {', '.join(missing) or 'none'}; there are: {there}"
            )
    if not pd.api.types.is_numeric_dtype(table[value]):
        raise ValueError(f"value must be a column of numbers, got {value!r} of type {table[value].dtype}")
    if not np.isfinite(table[value]).all():
        raise ValueError(f"value must be a number in each of the records, got {value!r} with one that is not finite")
    if table.duplicated([*columns, "seed"]).any():
        raise ValueError(f"by must tell the records of a seed apart, got {', '.join(columns)}")
    groups = table.groupby(columns, sort=False, dropna=False)[value]
    return groups.agg(mean="mean", low="min", high="max", seeds="count").reset_index()
