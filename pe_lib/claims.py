"""The ledger of claims: what is said about position encoding, the verdict on it, and the tables that show both.

``data/claims.csv`` travels with the package.  The notebooks do not: what is read from them (`verdicts`, and the
columns of the `ledger` that say where a claim is tried) is there in a checkout of the repository only.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from pe_lib import DATA, check

# What each means, data/README.md says: the first row by proof or exact computation, the second by training.
STATUSES = (
    *("proved", "proved with a condition", "true on average", "false", "true but irrelevant", "a choice"),
    *("holds where measured", "fails where measured", "not decided here"),
)
OTHERWISE = "; otherwise here: "  # in the line of a verdict, before the reason why its number speaks against it
NOTEBOOKS = DATA.parent / "notebooks"


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

    ``claim``, ``who``, ``status`` and ``scope`` are read from ``data/claims.csv``; data/README.md explains them.
    ``number``, ``notebook`` and ``cell`` are those of its `Verdict`, found in the notebooks: empty if there is none,
    and outside a checkout.
    """
    claims = _claims()
    places = {stored.claim: asdict(stored) for stored in verdicts(NOTEBOOKS)}
    for column in ("number", "notebook", "cell"):
        claims[column] = [places.get(claim, {}).get(column, "") for claim in claims.index]
    return claims


def verdict(claim: str, status: str, evidence: bool, number: str, *, otherwise: str = "") -> None:
    """Prints a claim, the verdict on it, and the number that decides.  For the last line of the cell that checks it.

    evidence   True if the number at these parameters speaks for the verdict, else False
    otherwise  why it need not: which condition of the verdict these parameters do not meet.  Empty if they meet all

    ValueError or TypeError for a claim that is not in the ledger, an unknown status, evidence that is not True or
    False, no number; AssertionError if the ledger has another verdict, or if the evidence does not hold and nothing
    excuses it.  What is excused is printed with its reason.
    """
    claims = _claims()
    known = claims.status
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
    print(f'"{claims.claim[claim]}"')
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
    lines = [
        "| claim, and who makes it | verdict | scope | the number that decides | notebook |",
        "|---|---|---|---|---|",
    ]
    for row in ledger().itertuples():
        link = f"[{int(row.notebook[:2])}]({folder}{row.notebook}.ipynb)" if row.notebook else ""
        lines.append(f"| {row.claim} *({row.who})* | **{row.status}** | {row.scope} | {row.number} | {link} |")
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
