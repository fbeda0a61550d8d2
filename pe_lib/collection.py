"""The collection: what notebooks hand over, the records in ``data/results``, the ledger of claims, and their tables.

``data/`` travels with the package.  The notebooks do not: what is read from them (`verdicts`, and the columns of the
`ledger` that say where a claim is tried) is there in a checkout of the repository only.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pe_lib import DATA, check

# IPython is imported where it is used: reading a table needs none.

MIME = "application/vnd.pe_lib.records+json"  # marks what was reported among the outputs of a notebook
STATUSES = ("proved", "proved with a condition", "true on average", "false", "true but irrelevant", "a choice")
OTHERWISE = "; otherwise here: "  # in the line of a verdict, before the reason why its number speaks against it
NOTEBOOKS = DATA.parent / "notebooks"


# Records


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


# Claims


@dataclass(frozen=True)
class Verdict:
    """A verdict on a claim in a notebook: where it is called for, and the line that was printed there."""

    claim: str
    status: str  # this and the number are empty where no line is stored
    number: str  # the one that decides, as a clause
    notebook: str  # its file, without the ending
    cell: str  # the id of the cell


def ledger() -> pd.DataFrame:
    """The claims, a row each, by their id.

    ``claim``, ``who``, ``status`` and ``condition`` are read from ``data/claims.csv``; data/README.md explains them.
    ``number``, ``notebook`` and ``cell`` are those of its `Verdict`, found in the notebooks: empty if there is none,
    and outside a checkout.
    """
    claims = _claims()
    places = {stored.claim: asdict(stored) for stored in verdicts(NOTEBOOKS)}
    for column in ("number", "notebook", "cell"):
        claims[column] = [places.get(claim, {}).get(column, "") for claim in claims.index]
    return claims


def verdict(claim: str, status: str, evidence: bool, number: str, *, otherwise: str = "") -> None:
    """Prints the verdict on a claim, with the number that decides.  For the last line of the cell that checks it.

    evidence   True if the number at these parameters speaks for the verdict, else False
    otherwise  why it need not: which condition of the verdict these parameters do not meet.  Empty if they meet all

    ValueError or TypeError for a claim that is not in the ledger, an unknown status, evidence that is not True or
    False, no number; AssertionError if the ledger has another verdict, or if the evidence does not hold and nothing
    excuses it.  What is excused is printed with its reason.
    """
    known = _claims().status
    check.choice("claim", claim, known.index)
    check.choice("status", status, STATUSES)
    if not isinstance(number, str) or not number.strip() or len(number.splitlines()) > 1:
        raise ValueError(f"number must be the number that decides, in words in one line, got {check.short(number)}")
    evidence = check.flag("evidence", evidence)
    check.instance("otherwise", otherwise, str)
    if not (evidence or otherwise):
        raise AssertionError(f"the evidence that {claim!r} is {status} does not hold: {number}")
    if known[claim] != status:
        raise AssertionError(f"{claim!r} is {status} here, but {known[claim]} in data/claims.csv")
    print(f"verdict on {claim}: {status}. {number}" + ("" if evidence else OTHERWISE + otherwise))


def verdicts(notebooks: Path) -> list[Verdict]:
    """Every verdict in a folder of ``notebooks``, in their order; none if there is no such folder.

    A verdict is found by its call, ``verdict("claim", ...)`` at the start of a line, or by its line in the stored
    outputs; where the second is missing, ``status`` and ``number`` are empty.
    """
    result = []
    for path in _files(check.path("notebooks", notebooks)):
        for cell in _cells(path):
            if cell["cell_type"] != "code":
                continue
            called = re.findall(r'^verdict\(\s*"(\w+)"', _source(cell), flags=re.M)
            lines = re.findall(r"^verdict on (\w+): ([\w ]+)\. (.+)$", _printed(cell), flags=re.M)
            printed = {claim: (status, number) for claim, status, number in lines}
            for claim in dict.fromkeys([*called, *printed]):
                status, number = printed.get(claim, ("", ""))
                result.append(Verdict(claim, status, number, path.stem, cell["id"]))
    return result


def disagreements(claims: pd.DataFrame, stored: list[Verdict]) -> set[str]:
    """The claims that the ledger and the notebooks do not agree on.

    claims  the `ledger`
    stored  the `verdicts` of the notebooks

    They agree on a claim if exactly one of the verdicts is on it, its line was printed with the ledger's status, and
    its number speaks for it.
    """
    printed: dict[str, list[str]] = {claim: [] for claim in claims.index}
    for line in stored:
        printed.setdefault(line.claim, []).append("" if OTHERWISE in line.number else line.status)
    status = dict(claims.status)
    return {claim for claim, statuses in printed.items() if statuses != [status.get(claim)]}


# Tables


def claims_table(folder: str = "") -> str:
    """The ledger as a Markdown table; ``folder``, where the links point, ends in a slash if it is not empty."""
    check.instance("folder", folder, str)
    lines = ["| claim | verdict | the number that decides | notebook |", "|---|---|---|---|"]
    for row in ledger().itertuples():
        link = f"[{int(row.notebook[:2])}]({folder}{row.notebook}.ipynb)" if row.notebook else ""
        lines.append(f"| {row.claim} | **{row.status}** | {row.number} | {link} |")
    return "\n".join(lines)


def notebooks_table(folder: str = "") -> str:
    """The tutorials as a Markdown table, from their first cells; ``folder`` as in `claims_table`.

    ValueError for a notebook whose first cell lacks a part.
    """
    check.instance("folder", folder, str)
    lines = ["| notebook | question | time |", "|---|---|---|"]
    for path in _files(NOTEBOOKS):
        head = _source(next(_cells(path)))
        title = _part("title", r"^# (.+)$", head, path)
        question = _part("question", r"^\*\*Question\.\*\* (.+)$", head, path)
        time = _part("time", r"\*Time on two CPU cores:\* (.+?)\.$", head, path)
        lines.append(f"| [{title}]({folder}{path.name}) | {question} | {time} |")
    return "\n".join(lines)


def _claims() -> pd.DataFrame:
    """``data/claims.csv``, by id."""
    return pd.read_csv(DATA / "claims.csv", dtype=str, keep_default_na=False).set_index("id")


def _files(notebooks: Path) -> list[Path]:
    return sorted(notebooks.glob("*.ipynb"))


def _cells(path: Path) -> Iterator[dict]:
    yield from json.loads(path.read_text(encoding="utf-8"))["cells"]


def _source(cell: dict) -> str:
    return "".join(cell["source"])


def _printed(cell: dict) -> str:
    """What a cell has printed, as its outputs are stored."""
    texts = [output.get("text", "") for output in cell.get("outputs", [])]
    return "".join("".join(text) for text in texts)


def _part(name: str, pattern: str, head: str, path: Path) -> str:
    match = re.search(pattern, head, flags=re.M)
    if match is None:
        raise ValueError(f"{path.name}: the first cell must have a {name}, as {pattern}")
    return match[1]
