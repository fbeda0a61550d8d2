"""What every test file uses: a seeded generator, and no window for figures."""

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)


@pytest.fixture
def rng():
    return np.random.default_rng(20170612)  # the day the paper appeared
