"""Execute notebooks from top to bottom and store their outputs:  python .ci/execute.py NOTEBOOK ...

What is stored is what the tests want: no timings, no metadata of this machine, the lines of a cell's print in one
output.  A notebook is written whole, and not at all if a cell fails or the execution is interrupted.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

# What executes takes seconds to import: it is imported where it is used, after what is typed was looked at.

KEPT = ("kernelspec", "other_parameters")


def paths_of(names: list[str]) -> list[Path]:
    """The notebooks that are named.  SystemExit if one is none, or none is named."""
    if not names:
        raise SystemExit("say which: python .ci/execute.py NOTEBOOK ...")
    for name in names:
        if not name.endswith(".ipynb"):
            raise SystemExit(f"a notebook must end in .ipynb, got {name}")
        if not Path(name).is_file():
            raise SystemExit(f"there is no notebook {name}")
    return [Path(name) for name in names]


def read(path: Path) -> "NotebookNode":
    """The notebook.  SystemExit, saying why, if it is none."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SystemExit(f"{path} cannot be read as a notebook: {type(error).__name__}: {reason}") from None
    return notebook


def executed(path: Path) -> "NotebookNode":
    """The notebook with the outputs of now.  SystemExit, which names the cell, if one fails."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    class Client(NotebookClient):
        async def async_start_new_kernel(self, **options: Any) -> None:
            # Otherwise an interrupt stops the kernel, and what waits for it raises something else.
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
            await super().async_start_new_kernel(**options)

    notebook = read(path)
    folder = {"metadata": {"path": str(path.parent)}}
    quiet = ["--log-level=CRITICAL"]  # a kernel warns of its sockets, which only this machine reaches
    client = Client(notebook, kernel_name="python3", timeout=None, resources=folder, extra_arguments=quiet)
    try:
        client.execute()
    except CellExecutionError as error:
        raise SystemExit(f"{error}\n{path} is as it was: cell {failed_cell(notebook)} failed") from None
    except DeadKernelError:
        raise SystemExit(f"{path} is as it was: its kernel died") from None
    except KeyboardInterrupt:
        client.shutdown_kernel = "immediate"  # or it tells where it was
        raise
    return CoalesceStreamsPreprocessor().preprocess(notebook, {})[0]


def failed_cell(notebook: "NotebookNode") -> str:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return cell.id
    return "(not known)"


def stored(notebook: "NotebookNode") -> str:
    """The notebook as text, without what another machine or an editor would write in another way."""
    import nbformat

    kept = {key: value for key, value in notebook.metadata.items() if key in KEPT}
    notebook.metadata = nbformat.NotebookNode(kept, language_info={"name": "python"})
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.NotebookNode(tags=tags) if tags else nbformat.NotebookNode()
    return nbformat.writes(notebook) + "\n"


def main(names: list[str]) -> None:
    """Executes them one after the other.  SystemExit, in a line, where one cannot be stored."""
    for path in paths_of(names):
        try:
            text = stored(executed(path))
            from pe_lib.collection import write_whole

            write_whole(path, text)
        except OSError as error:
            raise SystemExit(f"{path} is as it was: {error}") from None
        except KeyboardInterrupt:
            print(f"interrupted; {path} is as it was", file=sys.stderr)
            raise SystemExit(130) from None


if __name__ == "__main__":
    main(sys.argv[1:])
