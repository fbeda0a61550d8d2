"""Renew what is generated from the notebooks and the library:  python .ci/tables.py [--check]

The output of the cog blocks in README.md, data/README.md and the Markdown cells of the notebooks, and the figure of
README.md, which is the first one stored in notebook 0.  With --check nothing is written; the exit status is 1 if
something is out of date.
"""

import base64
import json
import sys
from pathlib import Path

from cogapp import Cog

from pe_lib.claims import NOTEBOOKS
from pe_lib.collection import write_whole

TOP = NOTEBOOKS.parent
TEXTS = (TOP / "README.md", TOP / "data" / "README.md")
START = NOTEBOOKS / "00_start_here.ipynb"
FIGURE = TOP / "data" / "overview.png"


def renewed_text(path: Path) -> bytes:
    return with_blocks(path.read_text(encoding="utf-8"), path).encode()


def renewed_notebook(path: Path) -> bytes:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = with_blocks("".join(cell["source"]), path)
            cell["source"] = text.splitlines(keepends=True)
    return (json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def with_blocks(text: str, path: Path) -> str:
    """The text with the output of its cog blocks made again."""
    return Cog().process_string(text, str(path)) if "[[[cog" in text else text


def first_figure(path: Path) -> bytes:
    """The first figure among the stored outputs of a notebook.  LookupError if there is none."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                return base64.b64decode("".join(output["data"]["image/png"]))
    raise LookupError(f"{path} has no figure")


def main(check: bool) -> int:
    files = {path: renewed_text(path) for path in TEXTS}
    files |= {path: renewed_notebook(path) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    files[FIGURE] = first_figure(START)
    stale = [path for path, content in files.items() if path.read_bytes() != content]
    for path in stale:
        print(f"{path.relative_to(TOP)} {'is out of date: run make tables' if check else 'is renewed'}")
        if not check:
            write_whole(path, files[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
