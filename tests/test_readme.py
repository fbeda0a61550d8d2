"""README, CONTRIBUTING and what is generated keep in step with the notebooks and the library."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pe_lib import runs

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text()
GUIDE = (TOP / "CONTRIBUTING.md").read_text()
TARGETS = re.findall(r"^(\w+):", (TOP / "Makefile").read_text(), flags=re.M)


@pytest.mark.parametrize("text", [README, GUIDE], ids=["README", "CONTRIBUTING"])
def test_links_exist(text):
    for target in re.findall(r"\]\(([^)#:]+)\)", re.sub(r"<!--.*?-->", "", text, flags=re.S)):
        assert (TOP / target).exists(), f"{target} does not exist"


@pytest.mark.parametrize("text", [README, GUIDE], ids=["README", "CONTRIBUTING"])
def test_make_targets_exist(text):
    named = re.findall(r"(?:`|^)make (\w+)", text, flags=re.M)
    assert named and set(named) <= set(TARGETS)


def test_what_is_generated_is_up_to_date():
    check = [sys.executable, str(TOP / ".ci" / "tables.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_python_in_the_readme_runs():
    blocks = re.findall(r"^```python\n(.+?)^```", README, flags=re.M | re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_package_map_is_complete():
    described = set(re.findall(r"^    (\w+) ", (TOP / "pe_lib" / "__init__.py").read_text(), flags=re.M))
    files = {path.stem for path in (TOP / "pe_lib").glob("*.py")}
    packages = {path.parent.name for path in (TOP / "pe_lib").glob("*/__init__.py")}
    assert described == (files | packages) - {"__init__"}


def example():
    """The command in README that executes a notebook with other parameters, as words."""
    (line,) = re.findall(r"^\.venv/bin/python (-m pe_lib\.runs .+--out build/bases)$", README, flags=re.M)
    return shlex.split(line)


def test_the_example_of_other_parameters_can_be_planned():
    words = example()
    values = {}
    for option, text in itertools.pairwise(words):
        if option == "--grid":
            name, choices = text.split("=")
            values[name] = [json.loads(choice) for choice in choices.split(",")]
    notebook = next(word for word in words if word.endswith(".ipynb"))
    assert values and runs.plan(runs.grid(TOP / notebook, values))


@pytest.mark.slow
def test_the_example_of_other_parameters_keeps_to_the_limits(tmp_path):
    command = [sys.executable, *example()[:-1], str(tmp_path)]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
