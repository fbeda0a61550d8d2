"""The settings of `make elsewhere` take effect, what does not is named, and a check that fails there is seen."""

import importlib.util
import os
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "elsewhere.py"
SETTINGS = ("without AVX-512", "without AVX2 and FMA")


@pytest.fixture(scope="module")
def elsewhere():
    spec = importlib.util.spec_from_file_location("elsewhere", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def answers(elsewhere, monkeypatch):
    """What processes say that were not asked: this machine, then the settings in their order."""
    said = []
    monkeypatch.setattr(elsewhere, "in_effect", lambda variables: said.pop(0))
    return said


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_takes_effect(elsewhere, name):
    variables = elsewhere.settings()[name]
    there = elsewhere.in_effect(variables)
    disabled = set(variables["NPY_DISABLE_CPU_FEATURES"].split())
    assert disabled.isdisjoint(there["NumPy's dispatch"].split())
    # torch takes no capability that the processor lacks
    assert there["PyTorch"] in (variables["ATEN_CPU_CAPABILITY"].upper(), "DEFAULT")
    assert there["threads"] == 2
    hashes = {elsewhere.in_effect(other)["hash of a text"] for other in elsewhere.settings().values()}
    assert len(hashes) == 2


def test_the_settings_disable_more_and_more(elsewhere):
    one_step, all_steps = (elsewhere.settings()[name] for name in SETTINGS)
    disabled = [set(step["NPY_DISABLE_CPU_FEATURES"].split()) for step in (one_step, all_steps)]
    assert disabled[0] <= disabled[1]
    assert list(one_step) == list(all_steps)


def test_what_is_not_switched_is_named(elsewhere, answers, monkeypatch, capsys):
    monkeypatch.setattr(elsewhere.subprocess, "run", lambda *args, **options: Done(0))
    answers += [
        {"PyTorch": "AVX512", "threads": 1},
        {"PyTorch": "AVX2", "threads": 1},
        {"PyTorch": "AVX512", "threads": 2},
    ]
    monkeypatch.setattr(elsewhere, "settings", lambda: {"first": {}, "second": {}})
    assert elsewhere.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    marked = [line.split()[0] for line in lines if "NOT SWITCHED" in line]
    assert marked == ["threads", "PyTorch"]


class Done:
    def __init__(self, returncode):
        self.returncode = returncode


@pytest.mark.slow
def test_a_check_that_fails_elsewhere_is_seen(elsewhere, answers, monkeypatch, tmp_path, capfd):
    """One that holds here and not with another hash seed."""
    check = tmp_path / "test_here_only.py"
    check.write_text(f"def test():\n    assert hash('position') == {hash('position')}\n", encoding="utf-8")
    seed = os.environ.get("PYTHONHASHSEED", "random")
    monkeypatch.setattr(elsewhere, "settings", lambda: {"other": {"PYTHONHASHSEED": "1" if seed != "1" else "2"}})
    answers += [{}, {}]
    assert elsewhere.main(["-p", "no:cacheprovider", "-n", "0", str(check)]) == 1
    assert capfd.readouterr().out.endswith("\nfailed: other\n")
