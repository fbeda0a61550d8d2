"""Killed at any moment, once some runs are finished: these stay as they are, and the next command does the rest.

`make kills` kills twenty of each kind, the tests one of each.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from runs_toys import HANGS, kind_of, notebook, started, wait_until

from pe_lib.runs.plan import FIELDS

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "1"))  # of each kind
KINDS = ["driver", "interrupt", "worker", "kernel"]
if sys.platform == "linux":
    KINDS.append("program")  # of which the kernels are forks

CELL = """
import time
from pathlib import Path
with Path({log!r}).open("a") as log:
    log.write(f"{{seed}}\\n")
time.sleep(0.5)
"""


class Ground:
    """A grid, the folder of its results and everything else that its runs leave on the machine."""

    def __init__(self, folder: Path, number: int, cell: str = ""):
        self.number = number
        self.folder = folder / "Läufe, 日本"
        self.folder.mkdir()
        self.out = self.folder / "die Ergebnisse"
        self.log = self.folder / "begun"
        self.log.touch()
        self.temporary = Path(tempfile.mkdtemp(prefix="k"))  # sockets have short paths only
        cell = (CELL + cell).format(log=str(self.log), folder=str(self.folder))
        notebook(self.folder / "fäll 1.ipynb", cell)

    def command(self) -> list[str]:
        return ["fäll 1.ipynb", "--grid", f"seed=0:{self.number}", "--out", self.out.name]

    def start(self, *more: str):
        return started(self.folder, *self.command(), *more, TMPDIR=str(self.temporary))

    def records(self) -> dict[str, tuple]:
        """name of the file -> seed, and what tells whether it was written again; of each record that says ok"""
        records = {}
        for path in self.out.glob("*.json"):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))  # whole: else this fails
            except FileNotFoundError:  # it says failed, and is replaced just now
                continue
            assert record.keys() == FIELDS
            if record["result"] == "ok":
                state = path.stat()
                records[path.name] = (record["parameters"]["seed"], state.st_ino, state.st_mtime_ns)
        return records

    def begun(self, seed: int) -> int:
        """How often a run has begun."""
        return self.log.read_text().splitlines().count(str(seed))

    def processes(self, kind: str = "") -> list[psutil.Process]:
        """What runs on this machine for this grid; of a kind, its workers or kernels."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("TMPDIR") == str(self.temporary)
                if ours and kind in ("", kind_of(process)):
                    found.append(process)
            except psutil.Error:  # it has ended, or belongs to somebody else
                continue
        return found


@pytest.fixture
def ground(tmp_path):
    grounds = []

    def make(number, cell=""):
        grounds.append(Ground(tmp_path, number, cell))
        return grounds[-1]

    yield make
    for ground in grounds:
        shutil.rmtree(ground.temporary)


def hit(kind: str, driver: subprocess.Popen, ground: Ground) -> bool:
    """Kill one process of the kind, chosen by chance; an interrupt is Ctrl-C, which a terminal sends to all.

    -> False if there is none, because the driver has come to its end.
    """
    if kind == "driver":
        driver.kill()
    elif kind == "interrupt":
        os.killpg(driver.pid, signal.SIGINT)
    else:
        victims: list[psutil.Process] = []
        wait_until(lambda: victims.extend(ground.processes(kind)) or victims or driver.poll() is not None)
        if not victims:
            return False
        random.choice(victims).kill()
    return True


def test_killed(ground):
    ground = ground(5 * KILLS * len(KINDS))  # some are finished between two kills
    kinds = KINDS * KILLS
    random.shuffle(kinds)
    kept: dict[str, tuple] = {}  # what was finished at the last kill
    begun: dict[int, int] = {}  # how often those runs had begun by then
    while kinds:
        assert len(ground.records()) < ground.number, "all runs are finished, and there is still something to kill"
        with ground.start() as driver:
            while kinds and one_more_is_finished(ground, len(kept), driver):
                kept = ground.records()
                begun = {seed: ground.begun(seed) for seed, *_ in kept.values()}
                if not hit(kinds[-1], driver, ground):
                    break
                kind = kinds.pop()
                print(f"{kind} killed with {len(kept)} of {ground.number} runs finished")
                if kind in ("driver", "interrupt"):
                    break
            driver.communicate(timeout=HANGS)
        wait_until(lambda: not ground.processes())
        assert kept.items() <= ground.records().items()
    with ground.start() as driver:
        assert driver.wait(timeout=HANGS) == 0
    assert kept.items() <= ground.records().items()
    assert begun == {seed: ground.begun(seed) for seed in begun}  # nothing that was finished was run again
    assert sorted(seed for seed, *_ in ground.records().values()) == [*range(ground.number)]
    files = [file for name in ground.records() for file in (name, name.replace(".json", ".ipynb"))]
    assert sorted(os.listdir(ground.out)) == sorted(files)
    assert os.listdir(ground.temporary) == [] and ground.processes() == []


def one_more_is_finished(ground: Ground, number: int, driver: subprocess.Popen) -> bool:
    """Wait for a record more than ``number``, and a moment longer.  -> False if the driver has ended"""
    wait_until(lambda: len(ground.records()) > number or driver.poll() is not None)
    time.sleep(random.uniform(0, 1.5))
    return driver.poll() is None


def test_two_drivers_on_one_folder(ground):
    """The second says so and ends, and the first goes on."""
    ground = ground(2, "import time\nwhile not Path({folder!r}, 'go').exists():\n    time.sleep(0.1)")
    with ground.start() as first:
        wait_until(lambda: ground.begun(0))
        with ground.start() as second:
            _, noise = second.communicate(timeout=HANGS)
        assert second.returncode == 2 and noise.count("\n") == 1
        assert "another process is at work in die Ergebnisse: wait for it, or name another folder" in noise
        (ground.folder / "go").touch()
        assert first.wait(timeout=HANGS) == 0
    assert len(ground.records()) == 2 and [ground.begun(0), ground.begun(1)] == [1, 1]


DISK = """
mount -t tmpfs -o {options} none "{out}" || exit 99
"{python}" -m pe_lib.runs {command}
code=$?
cp -a "{out}" "{out}.after"
exit $code
"""


def on_disk(ground: Ground, options: str) -> subprocess.CompletedProcess:
    """The command with a file system of its own for the results, in a name space of its own."""
    ground.out.mkdir()
    words = " ".join(f'"{word}"' for word in [*ground.command(), "--workers", "1"])
    script = DISK.format(options=options, out=ground.out, python=sys.executable, command=words)
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    environment = os.environ | {"TMPDIR": str(ground.temporary)}
    done = subprocess.run(command, cwd=ground.folder, env=environment, capture_output=True, text=True, timeout=HANGS)
    if done.stderr.startswith(("mount", "unshare")):
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    return done


@pytest.mark.skipif(not shutil.which("unshare"), reason="only Linux has name spaces")
def test_a_full_disk(ground):
    """What is finished is whole, the file for which there was no room is named, and nothing else is left."""
    ground = ground(6)
    done = on_disk(ground, "size=40k")
    *progress, error = done.stderr.splitlines()
    assert done.returncode == 2 and all(
        re.fullmatch(r"fäll 1-\w{10}: ok, \d of 6 done", line) for line in progress
    ), done.stderr
    ground.out = ground.out.with_name("die Ergebnisse.after")
    finished = ground.records()
    assert 0 < len(finished) < 6
    wanted = r"pe_lib\.runs: \[Errno 28\] No space left on device: 'die Ergebnisse/fäll 1-\w{10}\.(ipynb|json)'; "
    assert re.search(rf"{wanted}finished in die Ergebnisse: {len(finished)} of 6 runs$", error)
    assert not [name for name in os.listdir(ground.out) if name.startswith(".")]
    assert os.listdir(ground.temporary) == []
    wait_until(lambda: not ground.processes())


@pytest.mark.skipif(not shutil.which("unshare"), reason="only Linux has name spaces")
def test_a_read_only_disk(ground):
    """Refused before anything runs; this is read-only for a superuser too."""
    ground = ground(2)
    done = on_disk(ground, "ro")
    assert done.returncode == 2 and ground.begun(0) == 0
    assert done.stderr == (
        "python -m pe_lib.runs: [Errno 30] Read-only file system: 'die Ergebnisse'; "
        "finished in die Ergebnisse: 0 of 2 runs\n"
    )
