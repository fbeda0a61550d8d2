"""How a notebook is written, and that its checks hold for other parameters than the stored ones.

The stored outputs themselves are compared by `pytest --nbval` (see the Makefile).
"""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

from pe_lib import runs
from pe_lib.encodings import ENCODINGS

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
TUTORIALS = sorted(NOTEBOOKS.glob("*.ipynb"))
EXPERIMENTS = sorted(NOTEBOOKS.glob("experiments/*.ipynb"))
# May print digits that differ from machine to machine.
TRAINS = {"03_what_i_means", "05_with_and_without", "06_claims_on_trial", "07_in_the_wild", "10_controls"}
TRAINS |= {"08_one_sinusoid_three_ways", "09_the_family"}

# notebook -> parameters unlike the stored ones, with which every check in it must hold as well
OTHER = {
    "00_start_here": {"d_model": 30, "base": 500.0, "window": 50},
    "01_order_is_invisible": {"d_model": 24, "n_head": 3, "seq_len": 11, "most_layers": 3, "seed": 5},
    "02_deriving_the_formula": {"d_model": 32, "base": 500.0, "window": 200, "seed": 3},
    "03_what_i_means": {"d_model": 32, "base": 1000.0, "window": 100, "shift": 3, "live_seed": 1},
    "04_frequencies": {"d_model": 128, "base": 1000.0, "window": 300},
    "05_with_and_without": {"length": 9, "vocab": 6, "n_head": 2, "steps": 500, "seeds": [5, 6]},
    "controls": {"task": "previous", "encoding": "learned:std=1", "length": 6, "steps": 60, "seed": 4},
    "06_claims_on_trial": {"d_model": 64, "base": 1000.0, "window": 128, "seed": 3},
    "07_in_the_wild": {"d_model": 32, "base": 2000.0, "window": 30, "start": 77, "seed": 4},
    "08_one_sinusoid_three_ways": {
        "d_model": 24, "base": 1000.0, "window": 50, "width": 256, "live_steps": 150, "live_seed": 3, "seed": 2
    },
    "09_the_family": {"reach": 10, "head": 0, "live": ["learned:std=0.1", "kerple_log"], "live_seed": 2, "seed": 5},
    "10_controls": {"live": ["sinusoidal", "divided"], "live_seed": 2, "shown": 20},
    "language_model": {
        "encoding": "t5:num_buckets=8", "train_len": 16, "steps": 60, "d_model": 32, "n_layer": 1, "blocks": 2
    },
    "train_once": {"task": "copy", "encoding": "column", "length": 5, "steps": 60, "d_model": 16, "seed": 9},
}


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def prose(path):
    return "\n\n".join(cell.source for cell in cells(path, "markdown"))


@pytest.fixture(params=TUTORIALS, ids=lambda path: path.stem)
def tutorial(request):
    return request.param


def test_head(tutorial):
    head = cells(tutorial, "markdown")[0].source
    number, _ = tutorial.stem.split("_", 1)
    assert head.startswith(f"# {int(number)}. ")
    for part in ("**Question.** ", "*You need:* ", "*You will have:* ", "*Time on two CPU cores:* "):
        assert head.count(part) == 1, f"the first cell must say {part!r} once"


def test_links(tutorial):
    for target in re.findall(r"\]\(([^)#:]+)\)", prose(tutorial)):
        assert (tutorial.parent / target).exists(), f"{target} does not exist"


def test_executed_in_one_go_without_complaints(tutorial):
    code = cells(tutorial, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type in ("stream", "display_data"), "print what should be seen; no bare values"
        assert output.get("name") != "stderr" and output.get("data", {}).keys() <= {"image/png", "text/plain"}


def test_parameters_are_literals_with_a_comment(tutorial):
    runs.plan([(tutorial, {})])  # raises unless one cell is tagged and holds literals only
    tagged = next(cell for cell in cells(tutorial, "code") if "parameters" in cell.metadata.get("tags", []))
    for line in tagged.source.splitlines():
        assert re.search(r"  # \w|^seed = \d+$|^live_seed = \d+$", line), f"say what it means: {line}"


def test_size(tutorial):
    assert tutorial.stat().st_size < 1_000_000
    assert len(prose(tutorial).split()) <= 2000
    for cell in cells(tutorial, "code"):
        assert len(cell.source.splitlines()) <= 20, f"cell {cell.id} is too long"
        assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(ast.parse(cell.source)))


def test_claims_are_numbered_and_checked(tutorial):
    """After a cell that states a claim, an assert comes before the next such cell."""
    claims, unchecked = [], None
    for cell in nbformat.read(tutorial, as_version=4).cells:
        stated = re.findall(r"^\*\*Claim (\d+)\.\*\*", cell.source, flags=re.M)
        if cell.cell_type == "markdown" and stated:
            assert unchecked is None, f"claim {unchecked} has no check"
            claims += map(int, stated)
            unchecked = stated[-1]
        elif cell.cell_type == "code" and any(isinstance(n, ast.Assert) for n in ast.walk(ast.parse(cell.source))):
            unchecked = None
    assert unchecked is None and claims == list(range(1, len(claims) + 1)) != []


def test_figures_are_shown_once_and_explained(tutorial):
    number, all_cells = int(tutorial.stem[:2]), nbformat.read(tutorial, as_version=4).cells
    figures = [k for k, cell in enumerate(all_cells) if cell.cell_type == "code" and "plt." in cell.source[20:]]
    figures = [k for k in figures if "subplots" in all_cells[k].source]
    for n, k in enumerate(figures, start=1):
        assert all_cells[k].source.endswith("plt.show()")
        assert [list(output.data) for output in all_cells[k].outputs] == [["image/png", "text/plain"]]
        assert all_cells[k + 1].source.startswith(f"*Figure {number}.{n}. ")
    assert figures


def test_exercises_and_sources(tutorial):
    text = prose(tutorial)
    assert re.search(r"^## Exercises?$", text, flags=re.M) and re.search(r"^## Sources$", text, flags=re.M)
    exercises = [cell for cell in cells(tutorial, "code") if cell.id.startswith("exercise")]
    assert exercises and all("assert" in cell.source for cell in exercises)
    assert text.count("<details><summary>Solution</summary>") == len(exercises)


def test_every_encoding_has_its_section():
    text = prose(NOTEBOOKS / "09_the_family.ipynb")
    sections = re.findall(r"^### `(\w+)`\n(.+)$", text, flags=re.M)
    assert [name for name, _ in sections] == list(ENCODINGS)
    code = "".join(cell.source for cell in cells(NOTEBOOKS / "09_the_family.ipynb", "code"))
    for name, about in sections:
        assert "arXiv" in about or "(code)" in about, f"{name} has no source"
        assert f'card("{name}")' in code and code.count(f'"{name}"') > 1, f"{name} has no card, or is not drawn"


def test_outputs_are_compared_unless_they_come_from_training(tutorial):
    ignored = [cell.id for cell in cells(tutorial, "code") if "nbval-ignore-output" in cell.metadata.get("tags", [])]
    assert "NBVAL" not in tutorial.read_text() and (not ignored or tutorial.stem in TRAINS)


@pytest.mark.parametrize("path", TUTORIALS + EXPERIMENTS, ids=lambda path: path.stem)
def test_file(path):
    notebook = json.loads(path.read_text())
    assert notebook["nbformat"] == 4 and notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}, "only what every machine shares"
    assert all(set(cell["metadata"]) <= {"tags"} for cell in notebook["cells"])
    assert not re.search(r"/(home|root|tmp|Users)/", path.read_text()), "a path of one machine"
    nbformat.validate(nbformat.read(path, as_version=4))


@pytest.fixture(scope="module")
def other_runs(tmp_path_factory):
    paths = {path.stem: path for path in TUTORIALS + EXPERIMENTS}
    assert set(OTHER) == set(paths), "every notebook needs other parameters to be run with"
    records = runs.run([(paths[name], OTHER[name]) for name in OTHER], tmp_path_factory.mktemp("other"))
    return {record["notebook"]: record for record in records}


@pytest.mark.parametrize("name", OTHER)
def test_checks_hold_for_other_parameters(other_runs, name):
    record = other_runs[f"{name}.ipynb"]
    assert record["error"] is None and record["result"] == "ok"
    assert record["parameters"].items() >= OTHER[name].items()
