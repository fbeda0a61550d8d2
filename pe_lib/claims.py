"""The ledger of claims, `data/claims.csv`, and the verdict lines that must agree with it."""

import pandas as pd

from pe_lib import check
from pe_lib.results import DATA

STATUSES = ("proved", "proved with a condition", "true on average", "false", "true but irrelevant", "a choice")


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
