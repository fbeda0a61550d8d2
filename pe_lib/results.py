"""Results: what a notebook hands over, the tables kept in ``data/results``, and files that are whole or not there."""

import json
import os
from pathlib import Path

import pandas as pd

# IPython is imported where it is used: reading a table needs none.

MIME = "application/vnd.pe_lib.records+json"  # marks what was reported among the outputs of a notebook
DATA = Path(__file__).resolve().parent.parent / "data"


def report(records: list[dict]) -> None:
    """Hand ``records``, one dict a result, from a notebook to the record of its run; see `runs.table`.

    Raises TypeError if it is not a list of dicts, or holds what JSON cannot; NaN is such a thing.
    """
    from IPython.display import publish_display_data

    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise TypeError(f"records must be a list of dicts, got {records!r}")
    text = "1 record" if len(records) == 1 else f"{len(records)} records"
    publish_display_data({MIME: plain("records", records), "text/plain": text})


def read(name: str) -> pd.DataFrame:
    """The table ``data/results/NAME.csv`` of this repository, wherever the caller stands.

    Raises FileNotFoundError, with the names there are, if it is none of them.
    """
    names = sorted(path.stem for path in (DATA / "results").glob("*.csv"))
    if name not in names:
        raise FileNotFoundError(f"no results are called {name!r}; there are: {', '.join(names) or 'none'}")
    return pd.read_csv(DATA / "results" / f"{name}.csv")


def plain(name: str, value):
    """The value as JSON gives it back: a tuple is a list, a NumPy number is a number.

    Raises TypeError, with ``name``, for what JSON cannot hold.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=lambda number: number.item()))
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(f"{name} must be what JSON can hold, got {value!r}: {error}") from None


def write_whole(path: Path, content: str | bytes) -> None:
    """Put all of the content at ``path``, or leave what is there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
