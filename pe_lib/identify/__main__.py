"""The command: which convention made a table, and what is wrong with code that makes one."""

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from pe_lib.identify.answer import in_a_line
from pe_lib.identify.evidence import gather
from pe_lib.identify.findings import Finding, findings_in
from pe_lib.identify.identification import Identification, identify_values
from pe_lib.identify.source import FILES, named

DELAY = 2.0  # seconds until a terminal is told that there is still something to do
ERASE = "\r\x1b[K"  # to the start of the line and away with it


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.  -> 0 identified and nothing found, 1 unknown or findings, 2 unusable, 130 interrupted"""
    asked = _parser().parse_args(arguments)
    try:
        with _progress():
            with contextlib.redirect_stdout(sys.stderr):  # what somebody else's code prints is no answer
                evidence = gather(named(asked.source), asked.d_model, base=asked.base)
            identification = identify_values(evidence.named)
            findings = findings_in(evidence)
    except (OSError, ValueError, TypeError) as error:
        message = str(error) if asked.source in str(error) else f"{asked.source}: {error}"
        print(in_a_line(message), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    text = _as_json if asked.json else _as_text
    print(text(asked.source, identification, findings))
    return int(identification.layout is None or bool(findings))


@contextlib.contextmanager
def _progress() -> Iterator[None]:
    """A line on a terminal after `DELAY`, erased at the end."""
    stream = sys.stderr
    if not stream.isatty():
        yield
        return
    said = threading.Event()

    def say() -> None:
        stream.write("still trying conventions ...")
        stream.flush()
        said.set()

    timer = threading.Timer(DELAY, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # it may be saying it just now
        if said.is_set():
            stream.write(ERASE)
            stream.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pe_lib.identify",
        description="Which convention made a position table, and what is wrong with it.",
        epilog="status: 0 identified and nothing wrong, 1 unknown or findings, 2 unusable input.  "
        "Nothing in a file is executed; but Python itself imports from the current folder: in one that is not yours, "
        "name a FILE with python -P -m pe_lib.identify.",
    )
    parser.add_argument("source", help=f"FILE[:TENSOR] ({' '.join(FILES)}), or PACKAGE.MODULE:CALLABLE")
    parser.add_argument("--d-model", type=int, help="width, where a callable needs one")
    parser.add_argument("--base", type=float, default=10_000.0, help="the base of misreadings that are tried (10000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _as_json(source: str, identification: Identification, findings: list[Finding]) -> str:
    listed = [asdict(finding) | {"fix": finding.fix} for finding in findings]
    return json.dumps({"source": source, "identified": asdict(identification), "findings": listed})


def _as_text(source: str, identification: Identification, findings: list[Finding]) -> str:
    """What was found; that a table is unknown is said by the identification already."""
    says = [str(finding) for finding in findings if finding.name != "unknown"]
    return "\n".join([str(identification), *says])


if __name__ == "__main__":
    sys.exit(main())
