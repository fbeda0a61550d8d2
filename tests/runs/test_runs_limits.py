"""The limits of parameters: read from comments, kept to before anything starts, drawn from."""

import math
import re

import numpy as np
import pytest
from runs_toys import notebook

from pe_lib import runs
from pe_lib.runs import limits
from pe_lib.runs.notebook import read


def parsed(comment, default=8):
    return limits.parse("n", comment, default)


def is_inside(value, comment, default=8, **others):
    try:
        limits.refuse({"n": parsed(comment, default)}, {"n": value, **others})
    except ValueError:
        return False
    return True


# Reading


@pytest.mark.parametrize(
    ("comment", "good", "bad"),
    [
        ("tokens; 8 to 4,096", [8, 9, 4096], [7, 4097, True, "8", math.nan]),
        ("; -3 to 1_000", [-3, 1000], [-4, 1001]),
        ("; 0.5 to 1e3", [0.5, 1000], [0.4999, 1000.1]),
        ("a; b; even, 8 to 12", [8, 10, 12], [7, 9, 14]),
        ("; a multiple of 8, 8 to 64", [8, 64], [4, 12, 72]),
        ("; one of 4, 8", [4, 8], [5]),
        ("; at least 8", [8, 9], [7]),
        ("; at most 1,000,000", [1_000_000], [1_000_001]),
    ],
)
def test_numbers(comment, good, bad):
    assert [value for value in [*good, *bad] if is_inside(value, comment)] == good


def test_the_comment_before_the_last_semicolon_does_not_matter():
    assert parsed("columns, even, 3 to 4") is None and parsed("") is None
    assert parsed("one of many; even, 2 to 4") == parsed("; even, 2 to 4")


def test_conditions_on_other_parameters():
    assert is_inside(4, "; divides d_model", d_model=32) and not is_inside(5, "; divides d_model", d_model=32)
    assert is_inside(64, "; at least 2 * d_model", d_model=32) and not is_inside(
        63, "; at least 2 * d_model", d_model=32
    )
    assert is_inside(9, "; at most most", most=9) and not is_inside(10, "; at most most", most=9)
    area = "; 1 to 8,192, d_model * n at most 4,000,000"
    assert is_inside(976, area, d_model=4096) and not is_inside(977, area, d_model=4096)


def test_texts_and_lists():
    assert is_inside("sort", "; one of reverse, sort", "sort") and not is_inside(
        "copy", "; one of reverse, sort", "sort"
    )
    assert is_inside("any/where", "; path", "")
    assert is_inside(["rope:base=50", "nope"], "; 2 different, each an encoding", ["rope", "alibi"])
    assert not is_inside(["rope"], "; 2 different, each an encoding", ["rope", "alibi"])
    seeds, names = "; 2 to 3 different, each 0 to 9", "; 2 different, each one of nope, rope, alibi"
    good = [[0, 9], [1, 2, 3]]
    bad = [[1], [1, 1], [1, 2, 3, 4], [1, 10], [1, "2"]]
    assert [value for value in [*good, *bad] if is_inside(value, seeds, [0, 1])] == good
    good = [["rope", "nope"]]
    bad = [["rope"], ["rope", "rope"], ["rope", "shaw"], ["rope", "nope", "alibi"]]
    assert [value for value in [*good, *bad] if is_inside(value, names, ["rope", "nope"])] == good


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ("; above 16", "'above 16' is no clause"),
        ("; 2 different", "needs one 'even' or 'multiple' at most, and 'each' after 'different'"),
        ("; 11 to 19, even, a multiple of 10", "needs one 'even' or 'multiple' at most"),
        ("; 8 to 4,96", "'8 to 4,96' is no clause"),
        ("; 9 to 8", "'9 to 8' holds no value"),
        ("; 1 to 8, one of x, y", "invalid literal"),
        ("; at most 2 ** d_model", "'2 ** d_model' is neither a number nor a parameter"),
        ("; each 1 to 2", "'each 1 to 2' is no clause"),
        ("; 1 to 8, divides other", "other, which is no parameter"),
        (";", "'' is no clause"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, comment, words):
    path = notebook(tmp_path / "case.ipynb", parameters=f"a = 1\nn = 8  # {comment}")
    with pytest.raises(ValueError, match=r"^case\.ipynb: the limits of n ") as caught:
        runs.plan([(path, {})])
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_comment_of_a_parameter_is_the_one_at_its_end(tmp_path):
    lines = [
        "# alone; 1 to 2",
        "a = 4  # first; 3 to 5",
        "b = [",
        "    1,  # of an entry; 1 to 2",
        "    2,",
        "]  # second; 2 different, each 1 to 2",
        "c = '# of a text; 1'",
        "d = e = 1  # both; 1 to 2",
    ]
    path = notebook(tmp_path / "case.ipynb", parameters="\n".join(lines))
    assert list(read(path.read_text()).limits) == ["a", "b", "d", "e"]


# Refusing

SEEDS = "have 2 to 8 different entries and have entries that each must be 0 to 9"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d": 7}, "case.ipynb: d must be even and be 8 to 4,096, got 7"),
        ({"d": 4098}, "case.ipynb: d must be even and be 8 to 4,096, got 4098"),
        ({"x": 0}, "case.ipynb: x must be 0.5 to 10, got 0.0"),
        ({"h": 3}, "case.ipynb: h must divide d = 32, got 3"),
        ({"d": 8, "h": 16}, "case.ipynb: h must divide d = 8, got 16"),
        ({"d": 4096, "w": 1000}, "case.ipynb: w must have d * w at most 4,000,000, where d = 4096, got 1000"),
        ({"task": "copy"}, "case.ipynb: task must be one of reverse, sort, got 'copy'"),
        ({"seeds": [1]}, f"case.ipynb: seeds must {SEEDS}, got [1]"),
        ({"seeds": [1, -1]}, f"case.ipynb: seeds must {SEEDS}, got [1, -1]"),
    ],
    ids=lambda value: ",".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_outside_values_are_refused_before_anything_starts(tmp_path, changes, message):
    lines = [
        "d = 32  # columns; even, 8 to 4,096",
        "x = 1.0  # real; 0.5 to 10",
        "h = 4  # heads; 1 to 64, divides d",
        "w = 8  # tokens; 1 to 8,192, d * w at most 4,000,000",
        "task = 'sort'  # learned; one of reverse, sort",
        "seeds = [0, 1]  # of models; 2 to 8 different, each 0 to 9",
        "free = 3",
    ]
    path = notebook(tmp_path / "case.ipynb", parameters="\n".join(lines))
    runs.plan([(path, {"free": 10**9})])
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        runs.run([(path, {}), (path, changes)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Drawing

EXAMPLE = limits.parse_all(
    {
        "d_model": "; even, 7 to 4,096",
        "base": "; 10 to 1e8",
        "n_head": "; 1 to 64, divides d_model",
        "window": "; 16 to 8,192, d_model * window at most 4,000,000",
        "seeds": "; 2 to 8 different, each 0 to 1,000,000",
        "task": "; one of reverse, sort",
        "source": "; path",
        "live": "; 2 different, each an encoding",
    },
    {"d_model": 64, "base": 1e4, "n_head": 4, "window": 64, "seeds": [0, 1], "task": "sort", "source": ""}
    | {"live": ["rope", "alibi"]},
)


def test_points_are_inside_and_reach_every_end(rng):
    points = limits.points(EXAMPLE, rng, 90)
    for point in points:
        limits.refuse(EXAMPLE, point)
        assert list(point) == list(EXAMPLE) and type(point["base"]) is float and type(point["d_model"]) is int
    reached = {name: [point[name] for point in points] for name in EXAMPLE}
    assert {8, 4096} <= set(reached["d_model"]) and {10, 1e8} <= set(reached["base"])
    assert {1, 64} <= set(reached["n_head"]) and {16, 8192} <= set(reached["window"])
    assert {2, 8} <= set(map(len, reached["seeds"])) and set(reached["task"]) == {"reverse", "sort"}
    assert set(reached["source"]) == {""} and set(map(tuple, reached["live"])) == {("rope", "alibi")}
    tight = max(point["d_model"] * point["window"] for point in points)
    assert tight > 3_000_000  # corners that the joint condition forbids are moved to its edge


def test_wide_ranges_are_drawn_evenly_in_the_logarithm(rng):
    bases = np.log10([EXAMPLE["base"].draw(rng) for _ in range(2000)])
    counts = np.histogram(bases, np.arange(1, 9))[0]
    assert np.abs(counts - 2000 / 7).max() < 80  # about 5 standard deviations


def test_points_just_outside_break_one_clause(rng):
    values = {name: [point[name] for point in limits.outside(EXAMPLE, name, rng)] for name in EXAMPLE}
    assert values["d_model"] == [6, 4098, 9] and values["task"] == ["reverse?"] and values["source"] == []
    assert all(bare < 10 or bare > 1e8 for bare in values["base"])
    assert np.allclose(values["base"], [10, 1e8], rtol=1e-12)
    assert values["n_head"][:2] == [0, 65] and values["window"][:2] == [15, 8193]
    assert sorted(map(len, values["seeds"])) == [1, 2, 2, 2, 9] and values["live"] == [["rope"]]
    for name in EXAMPLE:
        for point in limits.outside(EXAMPLE, name, rng):
            with pytest.raises(ValueError, match=f"^{name} must "):
                limits.refuse(EXAMPLE, point)


def test_a_limit_that_forbids_everything_or_nothing_is_told(rng):
    idle = limits.parse_all({"a": "; 1 to 8, at most 100"}, {"a": 1})
    assert limits.outside(idle, "a", rng)  # a number is no joint condition
    joint = limits.parse_all({"a": "; 1 to 8", "b": "; 1 to 8, a * b at most 64"}, {"a": 1, "b": 1})
    with pytest.raises(ValueError, match="b has a limit that nothing inside the others breaks"):
        limits.outside(joint, "b", rng)
    none = limits.parse_all({"a": "; 5 to 8", "b": "; 1 to 8, at least 2 * a"}, {"a": 5, "b": 1})
    with pytest.raises(ValueError, match=r"no value of [ab] keeps to its limits"):
        limits.points(none, rng, 2)


def test_round_numbers_are_drawn_as_they_are(rng):
    drawn = {EXAMPLE["base"].draw(rng) for _ in range(2000)}
    assert {2.0**20, 65536.0, 5e5} <= drawn


def test_a_wide_range_without_a_round_number(rng):
    rate = limits.parse("lr", "; 0.00001 to 0.1", 1e-3)
    assert all(1e-5 <= rate.draw(rng) <= 0.1 for _ in range(100))
