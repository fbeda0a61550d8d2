"""What the benchmarks share: the packages of other authors, and what is kept beside a time."""

import importlib
import sys
from pathlib import Path

import pytest

PEERS = Path(__file__).parent.parent / "build" / "peers"


@pytest.fixture
def peer(pytestconfig):
    """Import a module of other authors, from build/peers."""

    def module(name):
        if pytestconfig.getoption("benchmark_disable"):
            pytest.skip("what others wrote is timed, not tested")
        if not (PEERS / "installed").exists():
            pytest.skip("packages of other authors are missing: make peers")
        if str(PEERS) not in sys.path:
            sys.path.append(str(PEERS))  # last: what pe_lib needs comes from .venv
        return importlib.import_module(name)

    return module


@pytest.fixture
def timed(benchmark):
    """Time ``call``, and keep what it is: the ``group``, the ``case`` and its sizes, and maybe its errors.

    Within a group, cases of the same sizes are compared with the one that is the floor.
    """

    def timed(call, group, case, sizes, *, floor=False, **errors):
        benchmark.group = group
        benchmark.extra_info |= {"case": case, "floor": floor, "sizes": sizes, "errors": errors}
        return benchmark(call)

    return timed
