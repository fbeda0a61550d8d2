"""A kernel that is a fork is like any other kernel; one that cannot be forked is started as any other."""

import json
import os
import subprocess
import sys

import psutil
import pytest
from runs_toys import HANGS, notebook, wait_until

from pe_lib import runs
from pe_lib.runs import forked
from pe_lib.runs.execute import execute

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only"),
]

BEFORE = [name for modules in forked.SLOW.values() for name in modules]
STATE = """\
import os, signal, sys, threading
own = [name for name in sys.modules if name.startswith("pe_lib")]
import numpy, pandas, scipy, torch
import matplotlib.pyplot as plt
from pe_lib import collection
plt.plot([1])
plt.show()
collection.report([{
    "parent": os.getppid(),
    "process": os.getpid(),
    "draws": [float(numpy.random.rand()), float(torch.rand(()))],
    "like any other": {
        "own modules": own,
        "names": sorted(name for name in globals() if not name.startswith("_")),
        "path": sys.path,
        "arguments": [argument for argument in sys.argv[1:] if "/" not in argument],
        "environment": {name: value for name, value in os.environ.items() if name != "JPY_PARENT_PID"},
        "files here": os.listdir(),
        "leads its session": os.getsid(0) == os.getpid(),
        "signals": [str(signal.getsignal(sign)) for sign in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE)],
        "threads": [torch.get_num_threads(), *sorted(thread.name for thread in threading.enumerate())],
        "backend": plt.get_backend(),
    },
}])"""


@pytest.fixture
def run(tmp_path):
    """Runs a notebook of these cells here.  -> (what it reported, its error, the outputs of its last cells)"""

    def run(*cells, **parameters):
        (planned,) = runs.plan([(notebook(tmp_path / "case.ipynb", *cells), parameters)])
        outcome = execute(planned)
        outputs = [cell.get("outputs", []) for cell in json.loads(outcome.executed)["cells"]]
        return outcome.changes["results"], outcome.changes["error"], outputs[3:]

    return run


def test_a_fork_is_like_any_other_kernel(run, monkeypatch):
    (first,), _, _ = run(STATE)
    (second,), error, (outputs, *_) = run(STATE, seed=1)
    assert error is None and first["parent"] == second["parent"] == forked.PROGRAM.process.pid
    assert first["process"] != second["process"]
    assert not set(first["draws"]) & set(second["draws"])
    monkeypatch.setattr(forked, "ForkProvisioner", forked.LocalProvisioner)
    (cold,), _, (cold_outputs, *_) = run(STATE, seed=2)
    assert cold["parent"] == os.getpid() and cold["like any other"]["own modules"] == []
    assert second["like any other"] == cold["like any other"]
    kinds = [[sorted(output.get("data", {})) for output in made] for made in (outputs, cold_outputs)]
    assert kinds[0] == kinds[1] and "image/png" in kinds[0][0]


def test_what_is_slow_is_imported_before_the_fork_where_it_is_used(run):
    code = "import sys\nsaid = [name for name in {} if name in sys.modules]\n"
    report = "from pe_lib import collection\ncollection.report([{'said': said}])"
    (record,), _, _ = run(code.format(BEFORE) + "if False:\n    import torch\n" + report)
    assert {"torch", "torch._dynamo", "numpy"} <= set(record["said"])
    program = psutil.Process(forked.PROGRAM.process.pid)
    assert program.num_threads() == 1  # a fork has one thread only, and would wait for the locks of the others


def test_the_program_dies(run, tmp_path):
    """Its kernels with it; the run has failed, and the next one has a new program."""
    log = tmp_path / "kernel"
    die = f"import os, signal, time\nopen({str(log)!r}, 'w').write(str(os.getpid()))\nos.kill(os.getppid(), 9)\n"
    _, error, _ = run(die + "while True:\n    time.sleep(0.1)")
    assert error["name"] == "DeadKernelError"
    wait_until(lambda: has_ended(int(log.read_text())))
    (record,), error, _ = run(STATE)
    assert error is None and record["parent"] == forked.PROGRAM.process.pid


def has_ended(process):
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


ORPHAN = """\
import os, time
from pe_lib.runs import forked
parent = os.getpid()
if os.fork():
    time.sleep({parent_lives})
    os._exit(0)
time.sleep({child_waits})
forked._end_with(parent)
time.sleep(3000)"""


@pytest.mark.parametrize(("parent_lives", "child_waits"), [(0, 2), (2, 0)], ids=["gone already", "goes later"])
def test_a_kernel_ends_with_its_program_whenever_that_ends(parent_lives, child_waits):
    code = ORPHAN.format(parent_lives=parent_lives, child_waits=child_waits)
    subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=HANGS, check=True)  # waits for both


def test_a_kernel_counts_as_dead_with_its_program():
    """It ends within a second, and may be there as a zombie for ever where nobody waits for it."""
    with subprocess.Popen([sys.executable, "-c", ""]) as program:
        program.wait()
    assert forked.Fork(os.getpid(), program).poll() == 1


def test_where_no_fork_succeeds(run, monkeypatch):
    def fork(request):
        raise EOFError

    monkeypatch.setattr(forked.PROGRAM, "fork", fork)
    (record,), error, _ = run(STATE)
    assert error is None and record["parent"] == os.getpid()


def test_what_a_notebook_leaves_to_the_end_is_done(run, tmp_path):
    code = "import atexit\nfrom pathlib import Path\natexit.register(Path({!r}).write_text, 'done')"
    run(code.format(str(tmp_path / "end")))
    assert (tmp_path / "end").read_text() == "done"
