"""How a notebook is written, and that its checks hold for other parameters than the stored ones.

The stored outputs themselves are compared by `pytest --nbval` (see the Makefile).
"""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from pe_lib import plots, runs
from pe_lib.encodings import ENCODINGS

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
TUTORIALS = sorted(NOTEBOOKS.glob("*.ipynb"))
EXPERIMENTS = sorted(NOTEBOOKS.glob("experiments/*.ipynb"))
PATHS = {path.stem: path for path in TUTORIALS + EXPERIMENTS}
# The cells that print what comes from training, and so may print other digits on another machine.
NOT_COMPARED = {
    "05_with_and_without: cost-of-a-code",
    "05_with_and_without: numbers",
    "06_claims_on_trial: parted-numbers",
    "07_in_the_wild: pairing-model",
    "08_one_sinusoid_three_ways: live-numbers",
    "10_controls: live-numbers",
}


def all_cells(path):
    return nbformat.read(path, as_version=4).cells


def cells(path, kind):
    return [cell for cell in all_cells(path) if cell.cell_type == kind]


def tags(cell):
    return cell.metadata.get("tags", [])


def has(kind, cell):
    """Does the code of this cell have a statement of this kind?"""
    return any(isinstance(node, kind) for node in ast.walk(ast.parse(cell.source)))


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
    for target in re.findall(r"\]\(([^)#:]+)\)", without_comments(prose(tutorial))):
        assert (tutorial.parent / target).exists(), f"{target} does not exist"


def without_comments(text):
    return re.sub(r"<!--.*?-->", "", text, flags=re.S)


def test_executed_in_one_go_without_complaints(tutorial):
    code = cells(tutorial, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell.outputs:
            assert output.output_type in ("stream", "display_data"), "print what should be seen; no bare values"
            assert output.get("name") != "stderr"
            assert set(output.get("data", {})) <= {"image/png", "text/plain"}


def test_parameters_are_literals_with_a_comment(tutorial):
    runs.plan([(tutorial, {})])  # raises unless one cell is tagged and holds literals only
    tagged = next(cell for cell in cells(tutorial, "code") if "parameters" in tags(cell))
    for line in tagged.source.splitlines():
        assert re.search(r"  # \w|^seed = \d+$|^live_seed = \d+$", line), f"say what it means: {line}"


def test_size(tutorial):
    assert tutorial.stat().st_size < 1_000_000
    assert len(without_comments(prose(tutorial)).split()) <= 2000
    for cell in cells(tutorial, "code"):
        assert not has(ast.ClassDef, cell)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_no_cell_is_long(path):
    for cell in cells(path, "code"):
        assert len(cell.source.splitlines()) <= 20, f"cell {cell.id} is too long"


def test_claims_are_numbered_and_checked(tutorial):
    """After a cell that states a claim, an assert comes before the next such cell."""
    claims, unchecked = [], None
    for cell in all_cells(tutorial):
        stated = re.findall(r"^\*\*Claim (\d+)\.\*\*", cell.source, flags=re.M)
        if cell.cell_type == "markdown" and stated:
            assert unchecked is None, f"claim {unchecked} has no check"
            claims += map(int, stated)
            unchecked = stated[-1]
        elif cell.cell_type == "code" and has(ast.Assert, cell):
            unchecked = None
    assert unchecked is None and claims == list(range(1, len(claims) + 1)) != []


def test_figures_are_shown_once_and_explained(tutorial):
    number = int(tutorial.stem[:2])
    notebook = all_cells(tutorial)
    figures = [place for place, cell in enumerate(notebook) if cell.cell_type == "code" and draws(cell)]
    assert figures
    for count, place in enumerate(figures, start=1):
        assert notebook[place].source.endswith("plt.show()")
        assert [list(output.data) for output in notebook[place].outputs] == [["image/png", "text/plain"]]
        assert notebook[place + 1].source.startswith(f"*Figure {number}.{count}. ")


def draws(cell):
    return "plt.show()" in cell.source or any("image/png" in output.get("data", {}) for output in cell.outputs)


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
    code = "\n".join(cell.source for cell in cells(NOTEBOOKS / "09_the_family.ipynb", "code"))
    for name, about in sections:
        assert "arXiv" in about or "(code)" in about, f"{name} has no source"
        assert f'card("{name}")' in code, f"{name} has no card"
    drawn = re.findall(r"^panels\((.+)\)$", code, flags=re.M)
    for family in plots.families():
        assert any(f'family["{family}"]' in call or family == "base" for call in drawn), f"{family} is not drawn"


def test_outputs_are_compared_unless_they_come_from_training():
    ignored = set()
    for path in TUTORIALS:
        assert "NBVAL" not in path.read_text(), "say it with the tag nbval-ignore-output"
        ignored |= {f"{path.stem}: {cell.id}" for cell in cells(path, "code") if "nbval-ignore-output" in tags(cell)}
    assert ignored == NOT_COMPARED


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_file(path):
    text = path.read_text()
    notebook = json.loads(text)
    tutorial = path in TUTORIALS
    cure = f"run make execute NB=notebooks/{path.name}" if tutorial else "clear its outputs and metadata"
    assert notebook["nbformat"] == 4
    assert set(notebook["metadata"]) == {"kernelspec", "language_info", "other_parameters"}, cure
    assert notebook["metadata"]["kernelspec"]["name"] == "python3", cure
    assert notebook["metadata"]["language_info"] == {"name": "python"}, cure
    assert all(set(cell["metadata"]) <= {"tags"} for cell in notebook["cells"]), cure
    assert text == json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n", cure
    assert not re.search(r"/(home|root|tmp|Users)/", text), "a path of one machine"
    nbformat.validate(nbformat.read(path, as_version=4))


def other_parameters(path):
    """Parameters unlike the stored ones, with which every check in the notebook must hold as well."""
    return json.loads(path.read_text())["metadata"]["other_parameters"]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_other_parameters_are_other_ones(path):
    other = other_parameters(path)
    assert other, "every notebook needs other parameters to be run with"
    runs.plan([(path, other)])


@pytest.fixture(scope="module")
def other_runs(tmp_path_factory):
    jobs = [(path, other_parameters(path)) for path in PATHS.values()]
    records = runs.run(jobs, tmp_path_factory.mktemp("other"))
    return {record["notebook"]: record for record in records}


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_checks_hold_for_other_parameters(other_runs, path):
    record = other_runs[path.name]
    assert record["error"] is None and record["result"] == "ok"
    assert record["parameters"].items() >= other_parameters(path).items()


# make execute


def execute(path):
    command = [sys.executable, str(NOTEBOOKS.parent / ".ci" / "execute.py"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def without_figures(text):
    return re.sub(r'"image/png": "[^"]+"', '"image/png"', text)


@pytest.mark.slow
def test_execute_stores_what_is_stored(tmp_path):
    before = (NOTEBOOKS / "04_frequencies.ipynb").read_text()
    path = tmp_path / "04_frequencies.ipynb"
    edited = json.loads(before)
    edited["metadata"]["language_info"]["version"] = "3.0"
    edited["metadata"]["toc"] = {"base_numbering": 1}
    edited["cells"][1]["metadata"]["execution"] = {"iopub.status.idle": "now"}
    path.write_text(json.dumps(edited))
    done = execute(path)
    assert done.returncode == 0, done.stderr
    assert without_figures(path.read_text()) == without_figures(before)


@pytest.mark.slow
def test_execute_names_a_notebook_that_is_not_there(tmp_path):
    done = execute(tmp_path / "none.ipynb")
    assert done.returncode == 1 and done.stderr == f"there is no notebook {tmp_path / 'none.ipynb'}\n"


@pytest.mark.slow
def test_execute_leaves_a_notebook_whose_cell_fails(tmp_path):
    path = tmp_path / "fails.ipynb"
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_code_cell("print(1)"), nbformat.v4.new_code_cell("1 / 0", id="the-bad-one")]
    nbformat.write(notebook, path)
    before = path.read_bytes()
    done = execute(path)
    assert done.returncode == 1 and "cell the-bad-one failed" in done.stderr
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
