"""What every test file uses: one thread, no window for figures, a seeded generator."""

import os
from pathlib import Path

import numpy as np
import pytest

# Read when torch and matplotlib are imported, here and by the kernels of notebooks.  A kernel draws into its notebook
# all the same, which MPLBACKEND would forbid.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MATPLOTLIBRC"] = str(Path(__file__).parent / "matplotlibrc")


@pytest.fixture
def rng():
    return np.random.default_rng(20170612)  # the day the paper appeared
