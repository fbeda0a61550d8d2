"""The README keeps in step with the notebooks.  `python tests/test_readme.py` renews its figure."""

import base64
import re
from pathlib import Path

import nbformat

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text()
START = TOP / "notebooks" / "00_start_here.ipynb"
FIGURE = TOP / "data" / "overview.png"


def start_figure() -> bytes:
    """The stored figure of the first notebook."""
    outputs = (output for cell in nbformat.read(START, as_version=4).cells for output in cell.get("outputs", []))
    return base64.b64decode(next(output.data["image/png"] for output in outputs if "data" in output))


def table(text):
    """Rows of the table of notebooks: file -> (title, question, time)."""
    rows = re.findall(r"^\| \[(.+?)\]\((?:notebooks/)?(\d\d_\w+)\.ipynb\) \| (.+?) \| (.+?) \|$", text, flags=re.M)
    return {name: (title, question, time) for title, name, question, time in rows}


def test_both_tables_say_what_the_notebooks_say():
    expected = {}
    for path in sorted((TOP / "notebooks").glob("*.ipynb")):
        head = nbformat.read(path, as_version=4).cells[0].source
        parts = [r"^# (.+)$", r"^\*\*Question\.\*\* (.+)$", r"\*Time on two CPU cores:\* (.+?)\.$"]
        expected[path.stem] = tuple(re.search(part, head, flags=re.M)[1] for part in parts)
    start = "\n".join(cell.source for cell in nbformat.read(START, as_version=4).cells)
    assert table(start) == expected
    assert table(README) == expected


def test_links_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (TOP / target).exists(), f"{target} does not exist"


def test_make_targets_exist():
    targets = re.findall(r"^(\w+):", (TOP / "Makefile").read_text(), flags=re.M)
    named = re.findall(r"`make (\w+)`|^make (\w+)", README, flags=re.M)
    assert named and {one or other for one, other in named} <= set(targets)


def test_figure_is_that_of_the_first_notebook():
    assert FIGURE.read_bytes() == start_figure(), "run `make overview`"


def test_python_in_the_readme_runs():
    blocks = re.findall(r"^```python\n(.+?)^```", README, flags=re.M | re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_package_map_is_complete():
    described = set(re.findall(r"^    (\w+) ", (TOP / "pe_lib" / "__init__.py").read_text(), flags=re.M))
    assert described == {path.stem for path in (TOP / "pe_lib").glob("*.py")} - {"__init__"}


if __name__ == "__main__":
    FIGURE.write_bytes(start_figure())
