"""What a run leaves: its executed notebook and, last and whole, its record; and records as a table."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pe_lib import check
from pe_lib.collection import write_whole
from pe_lib.runs.plan import FIELDS, Run


def finished(out: Path, run: Run) -> dict | None:
    """The record of the run in the folder ``out``, if it says ok for the same key and the notebook is beside it."""
    check.path("out", out)
    check.instance("run", run, Run)
    record = load(_record_path(out, run))
    if record is None or record["key"] != run.key or record["result"] != "ok":
        return None
    return record if _notebook_path(out, run).exists() else None


def refuse_folder(out: Path, planned: Iterable[Run]) -> None:
    """Raises ValueError if ``out`` is a file, or a run would put what it executed in the place of its notebook."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"out must be a folder, got the file {out}")
    for run in planned:
        path = _notebook_path(out, run)
        # With other parameters its name is another.
        if not run.changes and path.is_file() and path.read_text(encoding="utf-8", errors="replace") == run.source:
            raise ValueError(f"out must be another folder than that of the notebook: {path} would be overwritten")


def load(path: Path) -> dict | None:
    """The record at ``path``; None if there is none, or it is not whole: cut short, or without a field."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and FIELDS <= record.keys() else None


def store(out: Path, run: Run, record: dict, executed: str | None) -> None:
    """Write what a run left into the folder ``out``, in place of what an older one left there.

    The record comes last: while it is not there, the run is not finished.
    """
    _record_path(out, run).unlink(missing_ok=True)
    _notebook_path(out, run).unlink(missing_ok=True)
    if executed is not None:
        write(_notebook_path(out, run), executed)
    write(_record_path(out, run), json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def write(path: Path, text: str) -> None:
    """Put all of the text at ``path``, or leave what is there and raise OSError with that path.

    Half of a surrogate pair, which UTF-8 cannot hold, is written as ``\\ud800``: in JSON that means the same.
    """
    try:
        write_whole(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def rows(record: dict) -> list[dict]:
    """A row for each result of a run, none if it is not ok.

    The columns are the parameters, the result (which wins where both have a name), ``pe_lib`` (the release and the
    digest of the code), ``commit`` and ``clean`` (its `origin`) and ``processor``.
    """
    if record["result"] != "ok":
        return []
    source = {
        "pe_lib": record["versions"]["pe_lib"],
        "commit": record["commit"],
        "clean": record["clean"],
        "processor": record["processor"],
    }
    return [record["parameters"] | result | source for result in record["results"]]


def table(records: Iterable[dict]) -> pd.DataFrame:
    """What the runs of these ``records`` reported: their `rows`."""
    return pd.DataFrame([row for record in check.several("records", records, dict) for row in rows(record)])


def _record_path(out: Path, run: Run) -> Path:
    return Path(out, f"{run.stem}.json")


def _notebook_path(out: Path, run: Run) -> Path:
    return Path(out, f"{run.stem}.ipynb")
