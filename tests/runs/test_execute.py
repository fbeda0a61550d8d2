"""What one run leaves: its record, its executed notebook, and the error of one that failed."""

import json

import numpy as np
import pytest
from nbformat import NO_CONVERT, read
from runs_toys import notebook, record

from pe_lib import runs
from pe_lib.runs import digest
from pe_lib.runs.execute import Outcome, execute
from pe_lib.runs.origin import origin

pytestmark = pytest.mark.slow


def test_record_of_a_run_that_is_ok(out, folder):
    found = record(out, "fine")
    (planned,) = runs.plan([(folder / "fine.ipynb", {})])
    assert found["result"] == "ok" and found["error"] is None and found["notebook"] == "fine.ipynb"
    defaults = {"seed": 0, "lr": 1e-3, "encoding": "nope", "mask": True, "lengths": [4, 8], "limit": None}
    assert found["parameters"] == defaults
    assert found["versions"].keys() == {"python", "pe_lib", "numpy", "torch", "papermill"}
    assert found["versions"]["pe_lib"] == planned.versions.code
    assert found["versions"]["numpy"] == np.__version__
    assert found["started"].endswith("+00:00") and 0 < found["seconds"] < 600 and found["processor"]
    assert found["key"] == planned.key
    assert found["commit"] == origin(digest.PACKAGE).commit and "clean" in found


def test_parameters_reach_the_notebook_and_the_file_name(out):
    (name,) = [path.stem for path in out.glob("fine-*.json")]
    found = json.loads((out / f"{name}.json").read_text())
    assert name == f"fine-{found['key'][:10]}" and (out / f"{name}.ipynb").exists()
    assert found["parameters"]["lr"] == 2.0 and found["parameters"]["lengths"] == [1, 2]
    assert found["results"][2] == {"seed": 0, "lengths": [1, 2], "lr": 2.0}


def test_the_kernel_has_one_thread_and_an_empty_folder(out):
    assert record(out, "fine")["results"][0] == {"seed": 10, "set": ["1", "not set"], "here": []}


def test_the_executed_notebook_is_whole_and_names_no_folder(out):
    executed = read(out / "fine.ipynb", NO_CONVERT)
    assert executed.cells[2].outputs[0].data["text/plain"] == "2 records"
    assert executed.cells[2].outputs[1].data["text/plain"] == "1 record"
    assert executed.metadata.papermill.input_path == executed.metadata.papermill.output_path == "fine.ipynb"
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("stem", "cell", "name", "message"),
    [
        ("wrong", 3, "AssertionError", "seed is\n1"),
        ("kernel", 3, "DeadKernelError", "Kernel died"),
        ("leaves", 2, "SystemExit", "0"),
        ("skips", 3, "NotExecuted", "this cell was not executed"),
    ],
)
def test_a_failed_run_names_the_cell_of_the_original(out, stem, cell, name, message):
    found = record(out, stem)
    assert found["result"] == "failed"
    assert found["error"] == {"cell": cell, "id": f"c{cell}", "name": name, "message": message}
    assert len(list(out.glob(f"{stem}*.ipynb"))) == 1


def test_what_a_worker_hands_back(tmp_path):
    (planned,) = runs.plan([(notebook(tmp_path / "case.ipynb", "print(seed)"), {"seed": 3})])
    outcome = execute(planned)
    assert isinstance(outcome, Outcome) and outcome.changes.keys() <= planned.draft().keys()
    assert outcome.executed.endswith("}\n") and json.loads(outcome.executed)["cells"][3]["outputs"][0]["text"] == [
        "3\n"
    ]
