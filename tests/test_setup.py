"""pyproject.toml, environment.yml and constraints.txt say the same; what is installed is what is pinned."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
WANTED = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]
LINES = (TOP / "constraints.txt").read_text().splitlines()
PINS = [Requirement(line) for line in LINES if line and not line.startswith("#")]
PINNED = {canonicalize_name(pin.name): next(iter(pin.specifier)) for pin in PINS}
CONDA_NAMES = {"torch": "pytorch"}


@pytest.mark.parametrize("requirement", WANTED, ids=lambda wanted: wanted.name)
def test_pins_satisfy_the_bounds(requirement):
    assert requirement.specifier.contains(PINNED[canonicalize_name(requirement.name)].version)


def test_conda_users_get_the_same():
    *packages, pip = yaml.safe_load((TOP / "environment.yml").read_text())["dependencies"]
    assert pip == {"pip": ["-e ."]}
    expected = [f"{CONDA_NAMES.get(wanted.name, wanted.name)}{wanted.specifier}" for wanted in WANTED]
    assert packages == [f"python{PROJECT['requires-python']}", *expected, "pip"]


@pytest.mark.skipif(Path(sys.prefix) != TOP / ".venv", reason="only .venv is installed with constraints.txt")
def test_everything_installed_is_pinned():
    for installed in metadata.distributions():
        name = canonicalize_name(installed.metadata["Name"])
        # The public PyTorch for Linux brings these in versions of its own choice; the one for CPUs does not.
        if name not in ("pip", "pe-lib", "triton") and not name.startswith(("nvidia-", "cuda-")):
            assert name in PINNED, f"{name} is not in constraints.txt"
            assert PINNED[name].contains(installed.version), f"{name} {installed.version} is not the pinned one"


def test_pins_are_exact():
    assert len(PINNED) == len(PINS) and all(str(pin.specifier).startswith("==") for pin in PINS)


def test_build_backend_is_pinned():
    build = PYPROJECT["build-system"]["requires"]
    assert [str(Requirement(line).specifier) for line in build] == [str(PINNED["setuptools"])]


def test_citation_has_the_version():
    assert yaml.safe_load((TOP / "CITATION.cff").read_text())["version"] == PROJECT["version"]


def test_changelog_has_the_version():
    newest, *released = re.findall(r"^## (.+)$", (TOP / "CHANGELOG.md").read_text(), flags=re.M)
    assert newest == "Unreleased" and released[0] == PROJECT["version"]


def test_every_package_is_installed():
    folders = {path.parent.relative_to(TOP) for path in (TOP / "pe_lib").rglob("__init__.py")}
    packages = {".".join(folder.parts) for folder in folders}
    data = {"pe_lib.data", "pe_lib.data.results"}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == packages | data, "name them in pyproject.toml"
