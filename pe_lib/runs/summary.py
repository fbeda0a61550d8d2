"""What the commands print when runs have ended."""

from pe_lib.runs.plan import Run


def summary(planned: list[Run], records: list[dict], earlier: set[str], varied: list[str]) -> list[str]:
    """The lines of the closing table, then one line a failure.

    earlier  stems of the runs that were finished before
    varied   the parameters that differ from run to run
    """
    lines = [["notebook", *varied, "seconds", "result"]]
    failures = []
    for run, record in zip(planned, records, strict=True):
        file = f"{run.stem}.ipynb"
        point = {name: str(record["parameters"][name]) for name in varied}
        seconds = "-" if record["seconds"] is None else f"{record['seconds']:.1f}"
        result = "kept" if run.stem in earlier else "ok"
        if record["error"]:
            result = "FAILED"
            failures.append(failure(file, point, record["error"]))
        lines.append([file, *point.values(), seconds, result])
    return aligned(lines) + failures


def aligned(lines: list[list[str]]) -> list[str]:
    """Lines of as many words each, with the words in columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, words, widths)).rstrip() for words in lines]


def failure(file: str, point: dict[str, str], error: dict) -> str:
    """One line on a run that failed."""
    where = " ".join([file, *(f"{name}={value}" for name, value in point.items())])
    if error["cell"] is not None:
        where += f", cell {error['cell']} (id {error['id']})"
    line = f"{where}: {error['name']}: {error['message']}"
    return " ".join(line.split())
