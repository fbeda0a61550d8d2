"""Execute notebooks from top to bottom and store their outputs:  python .ci/execute.py NOTEBOOK ...

What is stored is what the tests want: no timings, no metadata of this machine, the lines of a cell's print in one
output.  A notebook is written whole, and not at all if a cell fails.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

from pe_lib.collection import write_whole

KEPT = ("kernelspec", "other_parameters")


def executed(path: Path) -> NotebookNode:
    """The notebook with the outputs of now.  SystemExit, which names the cell, if one fails."""
    if not path.is_file():
        raise SystemExit(f"there is no notebook {path}")
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, kernel_name="python3", timeout=None, resources=folder)
    try:
        client.execute()
    except CellExecutionError as error:
        raise SystemExit(f"{error}\n{path} is as it was: cell {failed_cell(notebook)} failed") from None
    return CoalesceStreamsPreprocessor().preprocess(notebook, {})[0]


def failed_cell(notebook: NotebookNode) -> str:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return cell.id
    return "(not known)"


def stored(notebook: NotebookNode) -> str:
    """The notebook as text, without what another machine or an editor would write in another way."""
    kept = {key: value for key, value in notebook.metadata.items() if key in KEPT}
    notebook.metadata = NotebookNode(kept, language_info={"name": "python"})
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = NotebookNode(tags=tags) if tags else NotebookNode()
    return nbformat.writes(notebook) + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_whole(Path(name), stored(executed(Path(name))))
