"""The package as a user installs it: a wheel, used in an empty folder with nothing of the checkout beside it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pe_lib.sinusoidal import sinusoidal

pytestmark = pytest.mark.slow

TOP = Path(__file__).parent.parent
COPIED = ["pe_lib", "data", "pyproject.toml", "README.md", "LICENSE"]


@dataclass(frozen=True)
class Installed:
    """Where the wheel was unpacked, and an empty folder to use it in."""

    packages: Path
    place: Path

    def python(self, *arguments: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(self.packages)}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=self.place, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source, packages, place = folder / "source", folder / "packages", folder / "place"
    source.mkdir()
    place.mkdir()
    for name in COPIED:
        if (TOP / name).is_dir():
            shutil.copytree(TOP / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(TOP / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", packages, source], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return Installed(packages, place)


def test_all_files_are_inside(installed):
    def files(folder, *patterns):
        return {path.relative_to(folder) for pattern in patterns for path in folder.rglob(pattern)}

    inside = installed.packages / "pe_lib"
    code = files(TOP / "pe_lib", "*.py", "py.typed", "*.mplstyle")
    assert files(inside, "*.py", "py.typed", "*.mplstyle") == code
    assert files(inside / "data", "*.csv", "*.toml") == files(TOP / "data", "*.csv", "*.toml")


CALLS = {
    "where": "import pe_lib; print(pe_lib.__file__)",
    "conventions": "from pe_lib.conventions import CONVENTIONS; print(len(CONVENTIONS))",
    "convert": """
import numpy as np
from pe_lib.conventions import convert
from pe_lib.sinusoidal import sinusoidal
table = sinusoidal(range(5), 8)
there = convert(table, "paper", "marian")
print(there.shape, np.allclose(convert(there, "marian", "paper"), table))""",
    "results": "from pe_lib import collection; print(len(collection.read('controls')))",
    "ledger": "from pe_lib import claims; print(*claims.ledger().loc['smooth', ['status', 'notebook']])",
    "style": "import matplotlib.pyplot as plt; plt.style.use('pe_lib.style'); print(plt.rcParams['figure.dpi'])",
}


@pytest.mark.parametrize("name", CALLS)
def test_it_does_the_same_as_in_the_checkout(installed, name):
    done = installed.python("-W", "error", "-c", CALLS[name])
    assert done.returncode == 0, done.stderr
    if name == "where":
        assert Path(done.stdout.strip()).is_relative_to(installed.packages)
        return
    here = subprocess.run([sys.executable, "-c", CALLS[name]], cwd=TOP, capture_output=True, text=True, timeout=300)
    expected = here.stdout.replace(" 06_claims_on_trial", " ")  # the notebooks do not travel
    assert done.stdout == expected != ""


def test_the_command_names_a_table(installed):
    np.save(installed.place / "table.npy", sinusoidal(np.arange(50), 32))
    done = installed.python("-m", "pe_lib.identify", "table.npy")
    assert done.returncode == 0 and "paper" in done.stdout, done.stdout + done.stderr


def test_a_model_is_built(installed):
    code = "from pe_lib.tasks import Reverse; from pe_lib.training import model_for; "
    code += "print(type(model_for(Reverse(), 'alibi', 0)).__name__)"
    done = installed.python("-c", code)
    assert (done.returncode, done.stdout) == (0, "TinyTransformer\n"), done.stderr
