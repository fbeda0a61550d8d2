"""Any input: each public function gives the right answer, or a ValueError or TypeError that names the argument.

Every public function, class and plain method of `ROOMS` is found by walking the package.  `KINDS` says what its
arguments are, by their names: an example that is right, and which odd values to put in its place.  One argument of a
call is odd, or two; what comes out is

    clear     one of the errors in `CLEAR`, and its message names an odd argument
    accepted  an answer without NaN or infinity, and the same as for the plain form of the value: np.uint8(200) as 200
    unclear   any other error, a warning, or a message that names no odd argument
    silent    an answer where there is none, or another one than for the plain form, or NaN, or infinity
    hang      more than some seconds of processor time

Nothing may be silent or hang.  What is unclear is listed in `UNCLEAR` with the reason.
"""

import importlib
import inspect
import math
import pkgutil
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from odd_values import (
    ARRAYS,
    AXES,
    CHOICES,
    DRAWN,
    FLAGS,
    MASKS,
    NAMED,
    NUMBERED,
    REALS,
    SIZES,
    TENSORS,
    THINGS,
    WHOLE_ARRAYS,
    Odd,
    broken,
    same,
    wrong,
)

import pe_lib
from pe_lib import claims, encodings, runs
from pe_lib.conventions import Convention, GridConvention
from pe_lib.encodings import PerBlock, PositionEncoding
from pe_lib.encodings.positions import Randomised, Shape, Wrapper
from pe_lib.sinusoidal import sinusoidal
from pe_lib.tasks import Reverse, Task
from pe_lib.text import NextCharacter, Text
from pe_lib.training import new_model
from pe_lib.transformer import Config, TinyTransformer

resource = pytest.importorskip("resource")  # limits of memory and time: not on Windows

# `check` is left out: it is what all others call, and tests/test_check.py has its exact words.
ROOMS = """sinusoidal rotary bias analysis conventions encodings transformer
           tasks text training controls measure plots collection claims""".split()
# Packages with a front: what they export; tests/identify and tests/runs have what their commands are given.
FRONTS = ("identify", "runs")
# The last two where that is documented: a path that leads nowhere, a learning rate too high.
CLEAR = (TypeError, ValueError, FileNotFoundError, FloatingPointError)
MOST_SECONDS = 3.0  # of processor time, a call
MOST_BYTES = 2 * 2**30  # further memory: an absurd array must be refused, not computed

# No doors: called by what has checked already, or values that the package makes.
INSIDE = {
    "base.distances": "of the encodings",
    "base.all_heads": "of the encodings",
    "base.pick": "of the encodings",
    "base.whole": "of the encodings",
    "base.drawn": "of the encodings",
    "base.uniform": "of the encodings",
    "distance.DistanceBias": "has no argument",
    "transformer.Block": "of the model",
    "transformer.Cache": "made by the model",
    "tasks.Ceiling": "made by a task",
    "claims.Verdict": "made by `verdicts`",
    "claims.disagreements": "of what `ledger` and `verdicts` make",
    "collection.write_whole": "of what the package writes; tests/test_collection.py",
    "identify.Finding": "made by `diagnose`",
    "identify.Identification": "made by `identify`",
    "runs.Run": "made by `plan`",
}
# Methods that a subclass overrides; `build`, the model, or `Task.sample` calls them.
HOOKS = {
    PositionEncoding: ("embed", "turn", "bias", "block", "of_distance", "kernel", "for_model", "options"),
    Task: ("inputs", "keys", "targets"),
}


# What arguments are, by their names; where one name is two things, with that of the function


@dataclass(frozen=True)
class Kind:
    """Right values of an argument, and the odd ones."""

    right: Callable[["Sizes"], Any]  # made anew for each call
    odd: tuple[Odd, ...]
    drawn: str = ""  # numbers that hypothesis may draw: "size", "real" or "array"
    called: str = ""  # the name of the argument in messages, where it is another


@dataclass(frozen=True)
class Sizes:
    """Sizes that fit together."""

    h: int = 2
    t: int = 3
    e: int = 4

    @property
    def d(self) -> int:
        return self.h * self.e


def kind(right: Any, odd: Iterable[Odd], *, no: str = "", **options: str) -> Kind:
    make = right if callable(right) else lambda s: right
    return Kind(make, tuple(item for item in odd if item.name not in no.split()), **options)


def size(right: Any, **options: str) -> Kind:
    return kind(right, SIZES, drawn="size", **options)


def real(right: Any, **options: str) -> Kind:
    return kind(right, REALS, drawn="real", **options)


def flag(right: bool) -> Kind:
    return kind(right, FLAGS)


def choice(right: str, **options: str) -> Kind:
    return kind(right, CHOICES, **options)


def array(right: Callable[[Sizes], Any], **options: str) -> Kind:
    return kind(right, ARRAYS, drawn="array", **options)


def drawn(right: Callable[[Sizes], Any]) -> Kind:
    return kind(right, DRAWN, drawn="array")


def thing(right: Any, *more: Odd, **options: str) -> Kind:
    return kind(right, [*THINGS, *more], **options)


NOTE = Kind(lambda s: "x", ())  # a text of one's own, or what only the package passes


def counted(*shape: int) -> Any:
    """Different numbers that every type of float holds."""
    return np.arange(math.prod(shape)).reshape(shape) % 8 / 2


def config(s: Sizes) -> Config:
    return Config(vocab=5, n_class=5, max_len=50, d_model=s.d, n_head=s.h, n_layer=1)


def model(s: Sizes, causal: bool = False) -> TinyTransformer:
    causal_config = Config(vocab=5, n_class=5, max_len=50, d_model=s.d, n_head=s.h, n_layer=1, causal=causal)
    return new_model(causal_config, "alibi", 0)


def torch_generator(s: Sizes) -> torch.Generator:
    return torch.Generator().manual_seed(1)


def numpy_generator(s: Sizes) -> np.random.Generator:
    return np.random.default_rng(1)


def tokens(s: Sizes) -> torch.Tensor:
    return torch.arange(2 * s.t).reshape(2, s.t) % 5


def numbers(s: Sizes) -> Any:
    return tokens(s).numpy()


def axes(s: Sizes) -> Axes:
    return Figure().add_subplot()


def some_text(s: Sizes) -> Text:
    return Text("\ufffdabc", np.arange(40) % 4, np.arange(40) % 4)


def summary(s: Sizes) -> pd.DataFrame:
    return pd.DataFrame({"encoding": ["nope", "nope"], "step": [0, 1], "mean": [0.0, 1.0], "low": 0.0, "high": 1.0})


def done(s: Sizes) -> dict[str, Any]:
    """The record of a run."""
    run, *_ = runs.plan([(NOTEBOOK, {})])
    return run.draft() | {"result": "ok", "results": [RECORD]}


NOTEBOOK = claims.NOTEBOOKS / "01_order_is_invisible.ipynb"
RECORD = {"encoding": "nope", "step": 0, "seed": 0, "accuracy": 0.5}
SEED = wrong(seed=0)
WRONG_ENCODINGS = broken(
    another_width=lambda right: encodings.Sinusoidal(10),
    another_head=lambda right: encodings.Rotary(2),
    more_heads=lambda right: encodings.ENCODINGS["alibi"](5),
    a_narrow_table=lambda right: encodings.FixedTable(np.zeros((60, 3))),
)
PATHS = [odd for odd in THINGS if odd.name not in ("none", "octets")]
CONVENTIONS = [*THINGS, *wrong(number=3, no_name="papers", misread=PositionEncoding)]

KINDS: dict[str, Kind] = {
    # sizes
    "d_model": size(lambda s: s.d),
    "head_dim": size(lambda s: s.e),
    "n_head": size(lambda s: s.h),
    "n_layer": size(1, no="uint16_300 uint8_128 int8_100"),
    "vocab": size(5),
    "n_class": size(5),
    "max_len": size(50),
    "length": size(4),
    "n": size(3),
    "n_row": size(4, no="million"),
    "train_len": size(2),
    "seq_len": size(3),
    "batch": size(2, no="million"),
    "steps": size(1, no="million uint8_200 int8_100 uint16_300 uint8_128"),  # that many are right, and long
    "eval_every": size(1),
    "eval_size": size(2, no="million"),
    "seed": size(1),
    "processes": size(1),
    "num_buckets": size(32),
    "max_distance": size(20),
    "width": size(8),
    "reach": size(2),
    "hidden": size(4),
    "max_count": size(4),
    "max_pos": size(60),
    "max_offset": size(5),
    "rotary_dim": size(2, no="none"),
    "every": size(2, no="none"),
    "asked": size(2, no="none"),
    "window": size(2, no="none"),
    "turning.WindowedRotary.window": size(2),
    "analysis.shift_residual.k": size(1),
    # numbers
    "base": real(100.0),
    "offset": real(2.0),
    "scale": real(0.5),
    "step": real(2.0),
    "gamma": real(0.5),
    "scale_base": real(16.0),
    "c": real(0.5),
    "threshold": real(0.5),
    "std": real(0.5),
    "p": real(0.5),
    "lr": real(0.5),
    "shift": real(2.0),
    "fraction": real(0.5),
    "analysis.shift_matrix.k": real(2.0),
    "ceiling": real(0.5, no="none"),
    "plots.by_length.train_len": real(16.0),
    # flags and choices
    "bidirectional": flag(True),
    "causal": flag(True),
    "released": flag(True),
    "diagonal": flag(True),
    "schedule": choice("paper"),
    "dtype": thing(lambda s: np.float32, *wrong(whole=np.int64, narrow="float16", of_torch=torch.float32)),
    "layout": choice("halves"),
    "odd": choice("error"),
    "reading": choice("column"),
    "pairing": choice("half"),
    "form": choice("power"),
    "controls.control.name": choice("shuffled"),
    "encodings.build.name": choice("learned", called="(name|encoding)"),
    "rotary.pairing_permutation.source": choice("half"),
    "rotary.pairing_permutation.target": choice("interleaved"),
    "rotary.convert_projection.source": choice("half"),
    "rotary.convert_projection.target": choice("interleaved"),
    "training.trial.task": choice("reverse"),
    # arrays
    "pos": array(lambda s: np.arange(s.t, dtype=float)),
    "distance": array(lambda s: np.arange(s.t) - 1.0),
    "relative_position": array(lambda s: np.arange(s.t) - 1.0),
    "x": array(lambda s: counted(s.h, s.t, s.e)),
    "q": array(lambda s: counted(s.h, s.t, s.e)),
    "k": array(lambda s: counted(s.h, s.t, s.e)[:, ::-1]),
    "delta": array(lambda s: -counted(s.h, s.e)),
    "u": array(lambda s: counted(s.h, s.e)),
    "v": array(lambda s: counted(s.h, s.e)),
    "weight": array(lambda s: counted(s.h, s.d, s.e)),
    "to_key": array(lambda s: counted(s.h, 4, s.e)),
    "to_query": array(lambda s: counted(s.h, 4, s.e)),
    "r1": array(lambda s: counted(s.h) + 1),
    "r2": array(lambda s: counted(s.h) + 1),
    "bias.fire.weight": array(lambda s: counted(4), called="(weight|shift)"),  # where two do not fit, either
    "bias.fire.shift": array(lambda s: counted(4)),
    "bias.fire.out": array(lambda s: counted(4, s.h)),
    "table": array(lambda s: counted(7, s.e)),
    "added.FixedTable.table": array(lambda s: counted(7, s.d)),
    "added.Split.table": array(lambda s: counted(7, 2)),
    "bias.shaw.q": array(lambda s: counted(s.h, s.t, s.e), called="(q|table)"),  # where two do not fit, either
    "bias.t5.table": array(lambda s: counted(8, s.h)),
    "conventions.convert.table": array(lambda s: counted(s.t, s.d)),
    "score": array(lambda s: counted(5, 5)),
    "analysis.shift_residual.table": array(lambda s: counted(7, 2) + np.eye(7, 2)),
    "rotary.convert_projection.weight": thing(
        lambda s: counted(s.d, 3), *wrong(number=3.0), *broken(scalar=lambda right: np.array(1.0))
    ),
    # objects
    "rng": thing(numpy_generator, *SEED, *wrong(of_torch=torch.Generator(), old=np.random.RandomState(0))),
    "generator": thing(torch_generator, *SEED, *wrong(of_numpy=np.random.default_rng(0))),
    "config": thing(config),
    "model": thing(model),
    "encoding": thing(lambda s: encodings.Sinusoidal(s.d), *wrong(number=3), *WRONG_ENCODINGS),
    "transformer.TinyTransformer.encoding": thing(
        lambda s: encodings.Sinusoidal(s.d), *wrong(name="rope", number=3, a_kind=PositionEncoding), *WRONG_ENCODINGS
    ),
    "inner": thing(lambda s: encodings.Rotary(s.e), *wrong(name="rope")),
    "encodings": thing(lambda s: [encodings.Rotary(s.e)], *wrong(names=["rope"], number=3)),
    "task": thing(lambda s: Reverse(4, 5), *wrong(name="reverse", a_kind=Reverse)),
    "text": thing(some_text),
    "source": kind("paper", CONVENTIONS),
    "target": kind("marian", CONVENTIONS),
    "conventions.Convention.source": NOTE,
    "conventions.GridConvention.source": NOTE,
    "conventions.Convention.scale": real(0.5),
    "blocks": thing(
        ("sin w", "cos w", "sin h", "cos h"), *wrong(three=("sin w", "cos w", "sin h"), numbers=(1, 2, 3, 4), one=1)
    ),
    "conventions.GridConvention.table.n": thing(
        (2, 2),
        *wrong(one=(2,), number=2, halves=(2.0, 2.0), zero=(2, 0), huge=(2**31, 2**31), wide=(1, 2**31)),
        *same(uint8=((np.uint8(200), np.uint8(2)), (200, 2))),
    ),
    "symbols": thing("\ufffdabc", *wrong(number=3), no="text", called="(symbols|train)"),
    "train": kind(lambda s: np.arange(40) % 4, WHOLE_ARRAYS, no="no_rows"),
    "held_out": kind(lambda s: np.arange(40) % 4, WHOLE_ARRAYS, no="no_rows"),
    "ends": kind(lambda s: np.array([10, 20]), WHOLE_ARRAYS),
    "inputs": kind(numbers, WHOLE_ARRAYS),
    "targets": kind(numbers, WHOLE_ARRAYS),
    "path": kind(
        lambda s: __file__, [*PATHS, *wrong(none_there="no/such/file", folder=".", zero="\0", endless="/dev/zero")]
    ),
    "tokens": kind(tokens, TENSORS),
    "transformer.TinyTransformer.forward.pos": array(lambda s: np.arange(s.t, dtype=float), no="none"),
    "transformer.TinyTransformer.extend.pos": array(lambda s: np.arange(s.t, dtype=float), no="none"),
    "transformer.TinyTransformer.attention.pos": array(lambda s: np.arange(s.t, dtype=float), no="none"),
    "attention_mask": kind(lambda s: torch.ones(2, s.t, dtype=torch.bool), MASKS),
    "cache": thing(None, no="none"),
    "labels": thing(None, *wrong(a_name="seed", taken={"loss": 1}), no="none mapping"),
    "training.trial.sizes": thing(
        lambda s: {"d_model": s.d, "n_head": s.h, "n_layer": 1},
        *wrong(nothing_of_it={"width": 3}, d_model={"d_model": 2.5}),
        no="none mapping",
        called="(sizes|width|d_model)",
    ),
    # records, claims and runs
    "records": thing(
        lambda s: [RECORD, RECORD | {"seed": 1}],
        *wrong(number=3, numbers=[3], not_finite=[{"a": math.nan}]),
        no="empty",
    ),
    "collection.summary.records": thing(
        lambda s: [RECORD, RECORD | {"seed": 1}],
        *wrong(number=3, numbers=[3], twice=[RECORD, RECORD], missing=[RECORD, RECORD | {"accuracy": None}]),
        *wrong(not_finite=[RECORD, RECORD | {"seed": 1, "accuracy": math.nan}]),
        called="(records|by|value)",
    ),
    "by": thing(lambda s: ["encoding"], *wrong(none_there=["size"], number=3), no="a_set mapping"),
    "collection.summary.value": choice("accuracy"),
    "collection.read.name": choice("family_tasks"),
    "collection.plain.name": NOTE,
    "collection.plain.value": kind(
        lambda s: [1, {"a": 2.5}],
        wrong(nan=math.nan, an_object=object(), octets=b"abc", a_set={1}, a_complex=1j, alike={1: 2, "1": 3}),
        called="x",  # the name that is given
    ),
    "claim": choice("norm"),
    "status": choice("proved"),
    "evidence": kind(True, FLAGS, no="false_of_numpy"),
    "number": thing("a half", *wrong(two_lines="a\nb", one=1, blank=" "), no="text"),
    "otherwise": thing("", *wrong(one=1), no="text nothing"),
    "notebooks": kind(lambda s: Path("nowhere"), [odd for odd in THINGS if odd.name not in ("text", "nothing")]),
    "folder": thing("notebooks/", *wrong(number=3), no="text nothing"),
    "encode": thing(
        lambda s: sinusoidal(np.arange(9), 4),
        *wrong(number=3, needs_two=lambda a, b: a, raises=lambda: 1 / 0),
        called="(encode|table)",
    ),
    "tolerance": real(1e-3),
    "identify.diagnose.d_model": size(4, no="none"),
    # that a table was rounded is seen, and named
    "identify.identify.table": kind(
        lambda s: sinusoidal(np.arange(9), 4), ARRAYS, no="float32 float16 tensor_of_float32 tensor_of_bfloat16"
    ),
    "notebook": kind(lambda s: NOTEBOOK, [odd for odd in THINGS if odd.name not in ("text", "nothing")]),
    "runs.grid.values": thing(
        lambda s: {"a": [1, 2]}, *wrong(a_text={"a": "x"}, none_for_one={"a": []}, numbers=[3])
    ),
    "out": kind(lambda s: "nowhere", [odd for odd in THINGS if odd.name not in ("text", "nothing")]),
    "run": thing(lambda s: runs.plan([(NOTEBOOK, {})])[0], *wrong(a_job=(NOTEBOOK, {}))),
    "scheduler": thing(None, *wrong(number=3), no="none text nothing"),
    "workers": size(1, no="none"),
    "runs.table.records": thing(lambda s: [done(s)], *wrong(number=3, numbers=[3]), no="empty mapping"),
    "jobs": thing(lambda s: [], *wrong(number=3, numbers=[3]), no="empty mapping nothing"),
    # figures
    "ax": kind(axes, AXES),
    "values": drawn(lambda s: counted(s.t, 4)),
    "plots.lines.x": drawn(lambda s: np.arange(3.0)),
    "plots.kernel.distance": drawn(lambda s: np.arange(3.0)),
    "plots.kernel.share": drawn(lambda s: np.arange(3.0)),
    "limit": drawn(lambda s: np.arange(3.0)),
    "rises": thing(lambda s: np.array([False, True, True]), *wrong(numbers=[0, 1, 1])),
    "angles": drawn(lambda s: counted(2, 3)),
    "named": kind(lambda s: {"nope": np.arange(3.0)}, NAMED),
    "plots.dots.named": kind(lambda s: {"nope": 3.0, "rope": 2.0}, NUMBERED),
    "plots.by_length.named": kind(lambda s: {"nope": counted(2, 3)}, NAMED),
    "plots.seeds.named": kind(lambda s: {"nope": (3.0, [2.0, 4.0])}, NUMBERED, no="one_nan booleans"),
    "lengths": drawn(lambda s: np.array([16.0, 32.0, 64.0])),
    "summary": thing(summary),
    "ticks": NOTE,
    "plots.clocks.labels": Kind(lambda s: "abc", ()),
    "title": NOTE,
    "xlabel": NOTE,
    "ylabel": NOTE,
}
# A method is called on one of these.
INSTANCES: dict[type, Callable[[Sizes], Any]] = {
    Convention: lambda s: Convention(),
    GridConvention: lambda s: GridConvention(),
    TinyTransformer: lambda s: model(s, causal=True),
    Task: lambda s: Reverse(4, 5),
    Text: some_text,
    NextCharacter: lambda s: NextCharacter(some_text(s), 4),
    PositionEncoding: lambda s: PositionEncoding(),
    PerBlock: lambda s: PerBlock([PositionEncoding()]),
    Wrapper: lambda s: Wrapper(PositionEncoding()),
    Randomised: lambda s: Randomised(PositionEncoding(), 60, generator=torch_generator(s)),
    Shape: lambda s: Shape(PositionEncoding(), generator=torch_generator(s)),
}
# Unclear, and why it stays: argument -> reason.
UNCLEAR = {
    "ax": "AttributeError, 'str' object has no attribute 'plot': nine more lines in `plots` would hardly say more",
}
# What is passed besides.
ALSO: dict[str, Callable[[Sizes], dict[str, Any]]] = {
    "training.trial": lambda s: {"steps": 1, "batch": 2, "eval_size": 2},
    "training.model_for": lambda s: {"d_model": s.d, "n_head": s.h, "n_layer": 1},
}


# The doors


@dataclass(frozen=True)
class Door:
    """A public function, class or method."""

    name: str
    function: Callable[..., Any]
    instance: Callable[[Sizes], Any] | None = None  # of a method
    arguments: tuple[str, ...] = ()

    def kind(self, argument: str) -> Kind:
        return kind_of(self.name, argument) or NOTE

    def call(self, s: Sizes, arguments: dict[str, Any]) -> Any:
        first = () if self.instance is None else (self.instance(s),)
        also = ALSO.get(self.name, lambda s: {})(s)
        return self.function(*first, **arguments, **also)

    def right(self, s: Sizes) -> dict[str, Any]:
        return {argument: self.kind(argument).right(s) for argument in self.arguments}


def modules() -> Iterator[Any]:
    for room in ROOMS:
        top = importlib.import_module(f"pe_lib.{room}")
        yield top
        for module in pkgutil.walk_packages(getattr(top, "__path__", []), f"{top.__name__}."):
            yield importlib.import_module(module.name)


def exported() -> Iterator[tuple[str, Any]]:
    for front in FRONTS:
        top = importlib.import_module(f"pe_lib.{front}")
        for name in top.__all__:
            if callable(getattr(top, name)):
                yield f"{front}.{name}", getattr(top, name)


def rooms() -> list[str]:
    """All of the package, by what lies in its folder."""
    return [module.name for module in pkgutil.iter_modules(pe_lib.__path__)]


def public(owner: Any, module: Any) -> Iterator[tuple[str, Any]]:
    """The functions, classes and methods that the module itself defines under a public name."""
    for name, thing in vars(owner).items():
        own = getattr(thing, "__module__", None) == module.__name__
        if not name.startswith("_") and own and (inspect.isfunction(thing) or inspect.isclass(thing)):
            yield name, thing


def kind_of(name: str, argument: str) -> Kind | None:
    return KINDS.get(f"{name}.{argument}", KINDS.get(argument))


def door(name: str, function: Callable[..., Any], instance: Callable[[Sizes], Any] | None = None) -> Door:
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    passed = [p.name for p in named if p.default is p.empty or kind_of(name, p.name) is not NOTE]
    return Door(name, function, instance, tuple(passed))


def doors() -> Iterator[Door]:
    for module in modules():
        for name, thing in public(module, module):
            full = f"{module.__name__.rpartition('.')[2]}.{name}"
            if full in INSIDE:
                continue
            if inspect.isclass(thing):
                yield from methods(full, thing, module)
            if not inspect.isabstract(thing):
                yield door(full, thing)
    yield from (door(full, thing) for full, thing in exported() if full not in INSIDE)


def methods(full: str, thing: type, module: Any) -> Iterator[Door]:
    hooks = [name for base, names in HOOKS.items() if issubclass(thing, base) for name in names]
    for name, method in public(thing, module):
        if name not in hooks and len(inspect.signature(method).parameters) > 1:
            yield door(f"{full}.{name}", method, INSTANCES.get(thing))


DOORS = list(doors())
CASES = [(door, argument, odd) for door in DOORS for argument in door.arguments for odd in door.kind(argument).odd]


# What comes out


class Hang(BaseException):
    """Too much processor time: no `except Exception` may catch it."""


@contextmanager
def limited_time() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@pytest.fixture(scope="module", autouse=True)
def limited_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except FileNotFoundError:  # not on Linux
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def outcome(door: Door, s: Sizes, odd: Mapping[str, Odd]) -> tuple[str, str]:
    """clear, accepted, unclear, silent or hang; and what was said."""
    right = door.right(s)
    arguments = right | {name: value.make(right[name]) for name, value in odd.items()}
    try:
        with limited_time():
            answer = list(leaves(door.call(s, arguments), s))
    except Hang:
        return "hang", ""
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        named = any(names(door.kind(name).called or name, said) for name in odd)
        return "clear" if isinstance(error, CLEAR) and named else "unclear", said
    if any(value.wrong for value in odd.values()):
        return "silent", "taken"
    if not all(finite(leaf) for leaf in answer):
        return "silent", "not finite"
    if odd and all(value.plain for value in odd.values()):
        right = door.right(s)
        arguments = right | {name: value.plain(right[name]) for name, value in odd.items()}
        try:
            expected = list(leaves(door.call(s, arguments), s))
        except Exception as error:
            return "silent", f"taken, but in plain form {type(error).__name__}: {error}"
        if not equal(answer, expected):
            return "silent", "not as in plain form"
    return "accepted", ""


def names(argument: str, said: str) -> bool:
    return re.search(rf"(?<!\w){argument}(?!\w)", said) is not None


def finite(leaf: Any) -> bool:
    return not isinstance(leaf, np.ndarray) or leaf.dtype.kind not in "fc" or bool(np.isfinite(leaf).all())


def equal(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, other, strict=True)
    )


def leaves(answer: Any, s: Sizes) -> Iterator[Any]:
    """All numbers of an answer, as arrays, and what an object does."""
    if isinstance(answer, PositionEncoding):
        yield from leaves(effect(answer, s), s)
    elif isinstance(answer, TinyTransformer):
        yield from leaves(answer(tokens(s)), s)
    elif isinstance(answer, (Task, NextCharacter)):
        yield from leaves((answer.sample(np.random.default_rng(0), 2), getattr(answer, "ceiling", 0)), s)
    elif isinstance(answer, (Convention, GridConvention)):
        yield answer.table(3, 8) if isinstance(answer, Convention) else answer.table((2, 2), 8)
    elif isinstance(answer, Config):
        new = TinyTransformer(answer, PositionEncoding(), torch_generator(s))
        yield from leaves((vars(answer), new(torch.zeros(1, 1, dtype=torch.long))), s)
    elif isinstance(answer, Axes):
        yield from leaves([line.get_xydata() for line in answer.lines] + [im.get_array() for im in answer.images], s)
    elif is_dataclass(answer):
        yield from leaves(vars(answer), s)
    elif isinstance(answer, Mapping):
        yield from leaves([answer[name] for name in answer if name != "seconds"], s)
    elif isinstance(answer, (list, tuple)):
        for entry in answer:
            yield from leaves(entry, s)
    elif isinstance(answer, torch.Tensor):
        yield answer.detach().numpy()
    else:
        array = np.asarray(answer)
        known = answer is None or array.dtype != object or isinstance(answer, (int, pd.DataFrame, set, Path))
        assert known, f"say in `leaves` what is in a {type(answer).__name__}"
        yield array


def effect(encoding: PositionEncoding, s: Sizes) -> list[Any]:
    """What it holds, and what it does to ones at the first positions."""
    block = encoding.block(0)
    d, h, e = (getattr(block, name, size) for name, size in (("d_model", s.d), ("n_head", s.h), ("head_dim", s.e)))
    q = torch.ones(1, h, s.t, e)
    pos = torch.arange(s.t, dtype=torch.float64)
    q, k = block.turn(q, q, pos, pos)
    held = [value for name, value in vars(encoding).items() if not name.startswith("_") and name != "training"]
    return [
        [value for value in held if isinstance(value, (int, float, np.number, torch.Tensor))],
        encoding.state_dict(),
        encoding.embed(torch.ones(1, 1, d), pos[:1]),
        q,
        k,
        block.bias(q, k, pos, pos),
    ]


# The tests


def test_every_argument_is_known():
    """A new function needs nothing here as long as its arguments are called as those of others."""
    arguments = [(door.name, argument) for door in DOORS for argument in door.arguments]
    unknown = [f"{name}.{argument}" for name, argument in arguments if kind_of(name, argument) is None]
    assert not unknown, f"say in KINDS what these are, by the name of the argument or the whole: {', '.join(unknown)}"
    homeless = [
        door.name for door in DOORS if "self" in inspect.signature(door.function).parameters and not door.instance
    ]
    assert not homeless, f"say in INSTANCES on what these methods are called: {', '.join(homeless)}"
    used = {f"{name}.{argument}" for name, argument in arguments} | {argument for _, argument in arguments}
    stale = {name for name, kind in KINDS.items() if kind is not NOTE} - used
    assert not stale, f"nothing has these arguments: {', '.join(stale)}"


def test_every_room_is_looked_at_and_every_exception_is_one():
    assert sorted(rooms()) == sorted([*ROOMS, *FRONTS, "check"])
    named = {
        f"{module.__name__.rpartition('.')[2]}.{name}" for module in modules() for name, _ in public(module, module)
    }
    named |= {name for name, _ in exported()}
    assert not INSIDE.keys() - named, "nothing is called so"
    assert ALSO.keys() <= {door.name for door in DOORS} and UNCLEAR.keys() <= KINDS.keys()
    for base, hooks in HOOKS.items():
        assert set(hooks) <= {name for kind in [base, *subclasses(base)] for name in vars(kind)}


def subclasses(base: type) -> Iterator[type]:
    for kind in base.__subclasses__():
        yield kind
        yield from subclasses(kind)


def test_the_inputs_are_many_and_few_may_be_unclear():
    unclear = [argument for _, argument, _ in CASES if argument in UNCLEAR]
    assert len(CASES) > 5000 and len(unclear) < 0.01 * len(CASES)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_right_arguments_are_right(door):
    assert outcome(door, Sizes(), {}) == ("accepted", "")


@pytest.mark.slow
@pytest.mark.parametrize("door", [door for door in DOORS if door.arguments], ids=lambda door: door.name)
def test_one_odd_argument(door):
    bad = []
    for argument in door.arguments:
        for odd in door.kind(argument).odd:
            word, said = outcome(door, Sizes(), {argument: odd})
            if word not in (("unclear",) if argument in UNCLEAR else ("clear", "accepted")):
                bad.append(f"{argument} {odd.name}: {word}, {said}")
    assert not bad, "\n".join(bad)


def may_be_right(kind: Kind) -> bool:
    return not all(odd.wrong for odd in kind.odd)


@pytest.mark.slow
@pytest.mark.parametrize(
    "door",
    [door for door in DOORS if any(may_be_right(door.kind(name)) for name in door.arguments)],
    ids=lambda door: door.name,
)
def test_odd_arguments_at_once(door):
    """One or two, among other sizes; what is wrong in itself is left to the test above."""
    arguments = {name: maybe_right(door.kind(name)) for name in door.arguments if may_be_right(door.kind(name))}

    @settings(derandomize=True, database=None, deadline=None, max_examples=25)
    @given(st.data())
    def hold(data):
        s = data.draw(st.builds(Sizes, h=st.integers(1, 3), t=st.integers(2, 5), e=st.sampled_from([4, 8])))
        chosen = data.draw(st.lists(st.sampled_from(list(arguments)), unique=True, min_size=1, max_size=2))
        odd = {argument: data.draw(arguments[argument], argument) for argument in chosen}
        word, said = outcome(door, s, odd)
        assert word in ("clear", "accepted"), f"{word}: {said}"

    hold()


def maybe_right(kind: Kind) -> st.SearchStrategy[Odd]:
    """Values of the kind that are not wrong in themselves, or numbers that nobody thought of."""
    # Of two large sizes the room is large, and right.
    listed = st.sampled_from([odd for odd in kind.odd if not odd.wrong and odd.name != "million"])
    if kind.drawn == "size":
        values = st.integers(1, 40) | st.integers(min_value=2**31)
        return listed | st.builds(lambda n: Odd(str(n), lambda right: n), values)
    finite_floats = st.floats(allow_nan=False, allow_infinity=False)
    if kind.drawn == "real":
        return listed | st.builds(lambda x: Odd(str(x), lambda right: x), finite_floats)
    if kind.drawn == "array":
        values = st.lists(finite_floats, min_size=1, max_size=6)
        return listed | st.builds(lambda x: Odd(str(x), lambda right: np.resize(x, np.shape(right))), values)
    return listed
