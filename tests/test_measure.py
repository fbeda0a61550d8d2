"""What `measure` measures, against what is known of a few encodings; all of them have a row in test_encodings."""

import pytest
import torch

from pe_lib.encodings import ENCODINGS, PositionEncoding, build
from pe_lib.measure import cost, enters, sees
from pe_lib.transformer import Config

CONFIG = Config(10, 10, 64, d_model=32, n_head=4, n_layer=2)
WHERE = {
    "nope": [],
    "learned": ["embeddings"],
    "randomised": ["positions", "embeddings"],
    "shape": ["positions", "embeddings"],
    "randomised:inner=rope": ["positions", "queries and keys"],
    "rope_nope:every=2": ["queries and keys"],
    "rope:p=0": [],
    "deberta": ["queries and keys", "scores"],
    "cope": ["scores"],
}


@pytest.mark.parametrize("name", WHERE)
def test_enters(name):
    assert enters(name, CONFIG) == WHERE[name]


def test_only_nope_enters_nowhere():
    assert [name for name in ENCODINGS if not enters(name, CONFIG)] == ["nope"]


@pytest.mark.parametrize(
    ("name", "shift", "mirror"),
    [
        ("nope", False, False),
        ("sinusoidal", True, True),
        ("rope", False, True),
        ("alibi", False, False),
        ("t5", False, True),
        ("fire", False, False),  # L = 64 and fewer positions: a bias of the distance
        ("fire:threshold=4", True, True),
        ("cope", False, True),
        ("shape:inner=alibi", False, False),
    ],
)
def test_sees(name, shift, mirror):
    assert sees(name, CONFIG) == {"shift": shift, "mirror": mirror}


def test_an_encoding_handed_over_stays_as_it_is():
    mine = build("learned", CONFIG, torch.Generator().manual_seed(0))
    before = mine.table.detach().clone()
    assert sees(mine, CONFIG)["shift"] and enters(mine, CONFIG) == ["embeddings"]
    assert torch.equal(mine.table, before)


def test_cost():
    assert set(cost("nope", CONFIG, 16).values()) == {0}
    assert cost("learned", CONFIG, 16)["parameters"] == 64 * 32
    assert cost("alibi", CONFIG, 16) == {"parameters": 0, "flops": 0, "memory": 0}
    # two products of the other half of queries and keys in each block: 2 * 16 * 16 * 32 more
    assert cost("pope", CONFIG, 16) == cost("pope", CONFIG, 16) | {"flops": 2 * 2 * 16 * 16 * 32}
    # the clipped and the plain slopes, and distances; nothing of them is quadratic
    small, large = (cost("kerple_log", CONFIG, n)["memory"] for n in (16, 64))
    assert 0 < large < 4.5 * small
    small, large = (cost("fire", CONFIG, n)["memory"] for n in (16, 64))
    assert large > 14 * small


def test_what_is_trained_is_no_memory_of_the_forward():
    class Scales(PositionEncoding):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(32))

        def embed(self, x, pos):
            return x * self.scale

    assert cost(Scales(), CONFIG, 16) == {"parameters": 32, "flops": 0, "memory": 4 * 16 * 32}


def test_bad_input():
    with pytest.raises(ValueError, match="config must not be causal"):
        sees("rope", Config(10, 10, 64, causal=True))
    with pytest.raises(ValueError, match="max_len >= 45"):
        sees("rope", Config(10, 10, 8))
    with pytest.raises(ValueError, match="encoding must be one of"):
        cost("rop", CONFIG, 16)
    with pytest.raises(ValueError, match="length must be a whole number >= 1"):
        cost("rope", CONFIG, 0)


def test_turned_keys_are_seen_where_queries_are_not():
    class Keys(PositionEncoding):
        def turn(self, q, k, pos_q, pos_k):
            return q, -k

    assert enters(Keys(), CONFIG) == ["queries and keys"]
