"""The collection: what a notebook hands over, the records kept in ``data/results``, the ledger of claims."""

import json
import os
from pathlib import Path

import pandas as pd

from pe_lib import DATA, check

# IPython is imported where it is used: reading a table needs none.

MIME = "application/vnd.pe_lib.records+json"  # marks what was reported among the outputs of a notebook
STATUSES = ("proved", "proved with a condition", "true on average", "false", "true but irrelevant", "a choice")


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


def ledger() -> pd.DataFrame:
    """The claims, a row each, by their id; data/README.md explains the columns."""
    return pd.read_csv(DATA / "claims.csv", dtype=str, keep_default_na=False).set_index("id")


def verdict(claim: str, status: str, evidence: bool, number: str) -> None:
    """Prints the verdict on a claim, with the number that decides.  For the last line of the cell that checks it.

    Raises ValueError for a claim that is not in the ledger or an unknown status, and AssertionError if the evidence
    does not hold or the ledger has another verdict.
    """
    known = ledger().status
    check.choice("claim", claim, known.index)
    check.choice("status", status, STATUSES)
    if not evidence:
        raise AssertionError(f"the evidence that {claim!r} is {status} does not hold: {number}")
    if known[claim] != status:
        raise AssertionError(f"{claim!r} is {status} here, but {known[claim]} in data/claims.csv")
    print(f"verdict on {claim}: {status}. {number}")


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


def summary(records, by=("encoding", "step"), value: str = "accuracy") -> pd.DataFrame:
    """Mean, lowest and highest ``value`` over the seeds, and their number.  -> a row for each group of ``by``

    records: a list of records or a DataFrame of them; the groups keep the order of the records.
    Raises ValueError if a seed comes twice in a group: then the records differ in something that is not in ``by``.
    """
    records = pd.DataFrame(records)
    if records.duplicated([*by, "seed"]).any():
        raise ValueError(f"by must tell the records of a seed apart, got {', '.join(by)}")
    groups = records.groupby(list(by), sort=False, dropna=False)[value]
    return groups.agg(mean="mean", low="min", high="max", seeds="count").reset_index()
