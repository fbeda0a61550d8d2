"""A notebook's parameters cell: what is read from it, and what is refused."""

import pytest
from runs_toys import notebook

from pe_lib import runs
from pe_lib.runs.notebook import read


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ({"tags": []}, "tagged 'parameters'"),
        ({"tags": ["parameters", "injected-parameters"]}, "injected-parameters"),
        ({"parameters": "a = 1\nb = 2 * 3"}, "b = 2 * 3"),
        ({"parameters": "import os"}, "import os"),
        ({"parameters": "a, b = 1, 2"}, "a, b = (1, 2)"),
        ({"parameters": "a.b = 1"}, "a.b = 1"),
        ({"parameters": "a: int = 1"}, "a: int = 1"),
        ({"parameters": "a = (1"}, "never closed"),
    ],
    ids=["no tag", "injected", "computed", "import", "two names", "attribute", "annotated", "half a line"],
)
def test_notebooks_without_plain_parameters_are_refused(tmp_path, cell, words):
    path = notebook(tmp_path / "case.ipynb", "x = 1", **cell)
    with pytest.raises(ValueError, match=r"case\.ipynb") as caught:
        runs.run([(path, {})], tmp_path / "out")
    assert words in str(caught.value) and not (tmp_path / "out").exists()


def test_what_is_read(tmp_path):
    path = notebook(tmp_path / "case.ipynb", "x = 1", "y = x", parameters="a = b = 1  # both\nc = (2, None)")
    found = read(path.read_text())
    assert found.defaults == {"a": 1, "b": 1, "c": [2, None]} and found.source == path.read_text()
    assert [cell.kind for cell in found.cells] == ["markdown", "code", "code", "code"]
    assert found.cells[1].tags == ["parameters"] and found.code == ["x = 1", "y = x"]
