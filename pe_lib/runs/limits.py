"""The limits of a notebook's parameters, as the comments of its parameters cell state them.

    d_model = 512  # columns; even, 8 to 4,096

What stands after the last ``;`` are clauses, between commas.  A value is inside if every one of them holds:

    8 to 4,096                           both ends count
    even, or: a multiple of 8
    at least 2 * d_model, or: at most    a number, a parameter, or a product of them
    d_model * window at most 4,000,000
    divides d_model                      another parameter
    one of reverse, sort                 options to the end of the line
    2 to 8 different, or: 2 different    a list of so many entries, no two alike
    each 0 to 9                          clauses of each entry, to the end of the line
    path, an encoding, a recorded table  what only the notebook can check: not looked at, and not drawn

One way through: `parse_all` (comments) -> `Limits` -> `refuse` (values that somebody asks for), or `points` and
`outside` (values to try the notebook with).
"""

import functools
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

Values = dict[str, Any]  # name of a parameter -> its value

TRIES = 200  # draws before a joint condition counts as one that cannot be kept
WIDE = 100  # the largest value over the smallest, from which on a range is drawn evenly in the logarithm
# What people type, and where formulas have their coincidences: in a wide range a third of what is drawn.
ROUND = sorted({2**k for k in range(64)} | {digit * 10**k for digit in (1, 2, 5) for k in range(19)})
KINDS = ("path", "an encoding", "a recorded table")
NUMBER = r"-?\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?"


# The kinds of clauses.  `wanted` ends the sentence "NAME must ...", `names` are the other parameters it looks at.


@dataclass(frozen=True)
class Clause:
    names: frozenset[str] = frozenset()

    def holds(self, name: str, values: Values) -> bool:
        raise NotImplementedError

    def wanted(self, values: Values) -> str:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Range(Clause):
    least: float
    most: float

    def holds(self, name: str, values: Values) -> bool:
        return _is_number(values[name]) and self.least <= values[name] <= self.most

    def wanted(self, values: Values) -> str:
        return f"be {self.least:,.10g} to {self.most:,.10g}"


@dataclass(frozen=True, kw_only=True)
class Multiple(Clause):
    step: int

    def holds(self, name: str, values: Values) -> bool:
        return _is_number(values[name]) and values[name] % self.step == 0

    def wanted(self, values: Values) -> str:
        return "be even" if self.step == 2 else f"be a multiple of {self.step:,}"


@dataclass(frozen=True, kw_only=True)
class Divides(Clause):
    whole: str

    def holds(self, name: str, values: Values) -> bool:
        return _is_number(values[name]) and values[name] != 0 and values[self.whole] % values[name] == 0

    def wanted(self, values: Values) -> str:
        return f"divide {self.whole} = {values[self.whole]}"


@dataclass(frozen=True, kw_only=True)
class Product:
    """Numbers and parameters, multiplied."""

    factors: tuple[str | float, ...]

    def value(self, values: Values) -> float:
        return math.prod(values[factor] if isinstance(factor, str) else factor for factor in self.factors)

    def __str__(self) -> str:
        return " * ".join(factor if isinstance(factor, str) else f"{factor:,.10g}" for factor in self.factors)


@dataclass(frozen=True, kw_only=True)
class Bound(Clause):
    left: Product
    most: bool  # at most, or at least
    right: Product

    def holds(self, name: str, values: Values) -> bool:
        if not _is_number(values[name]):
            return False
        left, right = self.left.value(values), self.right.value(values)
        return left <= right if self.most else left >= right

    def wanted(self, values: Values) -> str:
        sides = f"{self.left} at {'most' if self.most else 'least'} {self.right}"
        known = ", ".join(f"{other} = {values[other]}" for other in sorted(self.names))
        return f"have {sides}" + (f", where {known}" if known else "")

    def distance(self, values: Values) -> float:
        """How far the two sides are apart, as the logarithm of their quotient."""
        left, right = self.left.value(values), self.right.value(values)
        return abs(math.log(left / right)) if left > 0 < right else math.inf


@dataclass(frozen=True, kw_only=True)
class Options(Clause):
    options: tuple[Any, ...]

    def holds(self, name: str, values: Values) -> bool:
        return values[name] in self.options

    def wanted(self, values: Values) -> str:
        return f"be one of {', '.join(map(str, self.options))}"


@dataclass(frozen=True, kw_only=True)
class Different(Clause):
    fewest: int
    most: int

    def holds(self, name: str, values: Values) -> bool:
        entries = values[name]
        alike = any(entry in entries[:place] for place, entry in enumerate(entries))
        return self.fewest <= len(entries) <= self.most and not alike

    def wanted(self, values: Values) -> str:
        number = str(self.most) if self.fewest == self.most else f"{self.fewest} to {self.most}"
        return f"have {number} different entries"


@dataclass(frozen=True, kw_only=True)
class Each(Clause):
    entry: "Limits"

    def holds(self, name: str, values: Values) -> bool:
        return all(_broken(self.entry, _with(values, self.entry.name, entry)) is None for entry in values[name])

    def wanted(self, values: Values) -> str:
        clauses = [clause.wanted(values) for clause in self.entry.clauses]
        return f"have entries that each must {' and '.join(clauses)}"


@dataclass(frozen=True, kw_only=True)
class Kind(Clause):
    """A text whose kind only the notebook knows."""

    kind: str

    def holds(self, name: str, values: Values) -> bool:
        return isinstance(values[name], str)

    def wanted(self, values: Values) -> str:
        return f"be {self.kind}"


@dataclass(frozen=True)
class Limits:
    """Those of one parameter."""

    name: str
    default: Any
    clauses: tuple[Clause, ...]

    @property
    def joint(self) -> tuple[Clause, ...]:
        """The clauses that look at other parameters too."""
        return tuple(clause for clause in self.clauses if clause.names)

    def ends(self, rng: np.random.Generator) -> list:
        """The smallest and the largest value, every option, a shortest and a longest list."""
        if self._is_of_a_kind:
            return [self.default]
        if entries := self._one(Different):
            lengths = sorted({entries.fewest, entries.most})
            return [self._entries(length, rng) for length in lengths]
        if options := self._one(Options):
            return list(options.options)
        return sorted({self._low, self._high})

    def draw(self, rng: np.random.Generator) -> Any:
        """A random value.  Joint conditions are the caller's."""
        if self._is_of_a_kind:
            return self.default
        if entries := self._one(Different):
            return self._entries(int(rng.integers(entries.fewest, entries.most + 1)), rng)
        if options := self._one(Options):
            return options.options[rng.integers(len(options.options))]
        # From 0 on, the logarithm is that of the whole number after.
        moved = 1 if self._is_whole and self._low == 0 else 0
        low, high = self._low + moved, self._high + moved
        if low > 0 and high > WIDE * low:
            choices = [number for number in ROUND if self._low <= number <= self._high and number % self._step == 0]
            if choices and rng.random() < 1 / 3:
                return type(self.default)(choices[rng.integers(len(choices))])
            return self._nearest(math.exp(rng.uniform(math.log(low), math.log(high))) - moved)
        return self._nearest(rng.uniform(self._low, self._high))

    def outside(self, rng: np.random.Generator) -> list:
        """Values just outside.  Joint conditions are the caller's."""
        if self._is_of_a_kind:
            return [self.default[:1]] if self._one(Different) else []
        if (entries := self._one(Different)) and (each := self._one(Each)):
            return self._lists_outside(entries, each.entry, rng)
        if options := self._one(Options):
            return [f"{options.options[0]}?" if isinstance(self.default, str) else max(options.options) + 1]
        if not self._is_whole:
            return [math.nextafter(self._low, -math.inf), math.nextafter(self._high, math.inf)]
        beside = [self._low + 1] if self._step > 1 else []
        return [self._low - self._step, self._high + self._step, *beside]

    def _lists_outside(self, entries: Different, entry: "Limits", rng: np.random.Generator) -> list:
        shortest = self._entries(entries.fewest, rng)
        lists = [[wrong, *shortest[1:]] for wrong in entry.outside(rng)]
        lists.append(shortest[:-1])
        try:
            lists.append(self._entries(entries.most + 1, rng))
        except ValueError:  # there are no more entries than that
            pass
        if entries.most > 1:
            lists.append([shortest[0]] * max(2, entries.fewest))
        return lists

    def _one(self, kind: type) -> Any:
        return next((clause for clause in self.clauses if isinstance(clause, kind)), None)

    def _entries(self, length: int, rng: np.random.Generator) -> list:
        entry = self._one(Each).entry
        entries: list = []
        for _ in range(TRIES):
            if len(entries) == length:
                return entries
            drawn = entry.draw(rng)
            if drawn not in entries:
                entries.append(drawn)
        raise ValueError(f"{self.name} has no {length} different entries inside its limits")

    @functools.cached_property
    def _is_of_a_kind(self) -> bool:
        each = self._one(Each)
        return any(isinstance(clause, Kind) for clause in (each.entry.clauses if each else self.clauses))

    @functools.cached_property
    def _is_whole(self) -> bool:
        return isinstance(self.default, int)

    @functools.cached_property
    def _step(self) -> int:
        return math.lcm(*(clause.step for clause in self.clauses if isinstance(clause, Multiple)))

    @functools.cached_property
    def _low(self) -> Any:
        least = self._range.least
        return math.ceil(least / self._step) * self._step if self._is_whole else least

    @functools.cached_property
    def _high(self) -> Any:
        most = self._range.most
        return math.floor(most / self._step) * self._step if self._is_whole else most

    @property
    def _range(self) -> Range:
        range_ = self._one(Range)
        if range_ is None:
            raise ValueError(f"{self.name} has no smallest and largest value to draw from")
        return range_

    def _nearest(self, drawn: float) -> Any:
        """The value beside it that can be written in few digits."""
        if self._is_whole:
            return min(max(round(drawn / self._step) * self._step, self._low), self._high)
        return min(max(float(f"{drawn:.4g}"), self._low), self._high)


# Reading


def parse_all(comments: dict[str, str], defaults: Values) -> dict[str, Limits]:
    """The limits of the parameters whose comment has a ``;``.

    ValueError, with the parameter, for what is none of the clauses above or names a parameter that is not there.
    """
    stated = {name: parse(name, comment, defaults[name]) for name, comment in comments.items()}
    limits = {name: own for name, own in stated.items() if own is not None}
    for name, own in limits.items():
        unknown = {other for clause in own.clauses for other in clause.names} - defaults.keys()
        if unknown:
            raise ValueError(f"the limits of {name} name {', '.join(unknown)}, which is no parameter")
    return limits


def parse(name: str, comment: str, default: Any) -> Limits | None:
    """The limits that one parameter's ``comment`` states; None if it has no ``;``.

    ``default`` says what kind of values there are.
    """
    _, semicolon, text = comment.rpartition(";")
    if not semicolon:
        return None
    bare = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text.strip())  # 4,096 is 4096, and other commas are between clauses
    try:
        return Limits(name, default, _clauses(name, bare, default))
    except ValueError as error:
        raise ValueError(f"the limits of {name} cannot be read: {error}, in {text.strip()!r}") from None


def _clauses(name: str, text: str, default: Any) -> tuple[Clause, ...]:
    if text.startswith("one of "):
        return (_options(text.removeprefix("one of "), default),)
    if text.startswith("each ") and isinstance(default, list) and default:
        entry = f"each of {name}"
        return (Each(entry=Limits(entry, default[0], _clauses(entry, text.removeprefix("each "), default[0]))),)
    first, comma, rest = text.partition(", ")
    following = _clauses(name, rest, default) if comma else ()
    clauses = (_clause(name, first), *following)
    kinds = [type(clause) for clause in clauses]
    if kinds.count(Multiple) > 1 or (Different in kinds and Each not in kinds):
        raise ValueError(f"{text!r} needs one 'even' or 'multiple' at most, and 'each' after 'different'")
    return clauses


def _options(text: str, default: Any) -> Options:
    words = text.split(", ")
    if isinstance(default, bool):
        raise ValueError("a truth value needs no limits")
    if isinstance(default, str):
        return Options(options=tuple(words))
    return Options(options=tuple(type(default)(word) for word in words))


def _clause(name: str, text: str) -> Clause:
    """One clause, without commas in its numbers."""
    if text == "even":
        return Multiple(step=2)
    if text in KINDS:
        return Kind(kind=text)
    if match := re.fullmatch(r"a multiple of (\d+)", text):
        return Multiple(step=int(match[1]))
    if match := re.fullmatch(rf"({NUMBER}) to ({NUMBER})", text):
        least, most = float(match[1]), float(match[2])
        if least > most:
            raise ValueError(f"{text!r} holds no value")
        return Range(least=least, most=most)
    if match := re.fullmatch(r"(?:(\d+) to )?(\d+) different", text):
        return Different(fewest=int(match[1] or match[2]), most=int(match[2]))
    if match := re.fullmatch(r"divides ([a-z]\w*)", text):
        return Divides(names=frozenset({match[1]}), whole=match[1])
    if match := re.fullmatch(r"(.+ )?at (most|least) (.+)", text):
        left = _product(match[1].strip() if match[1] else name)
        right = _product(match[3])
        names = {factor for factor in left.factors + right.factors if isinstance(factor, str)} - {name}
        return Bound(names=frozenset(names), left=left, most=match[2] == "most", right=right)
    raise ValueError(f"{text!r} is no clause")


def _product(text: str) -> Product:
    factors: list[str | float] = []
    for factor in text.split(" * "):
        if re.fullmatch(NUMBER, factor):
            factors.append(float(factor))
        elif factor.isidentifier():
            factors.append(factor)
        else:
            raise ValueError(f"{factor!r} is neither a number nor a parameter")
    return Product(factors=tuple(factors))


# Judging


def refuse(limits: dict[str, Limits], values: Values) -> None:
    """ValueError, in one line with parameter, limit and value, if one of the ``values`` is outside."""
    for name, own in limits.items():
        clause = _broken(own, values)
        if clause is not None:
            # What it must be by itself is said at once.
            clauses = [clause] if clause.names else [other for other in own.clauses if not other.names]
            wanted = " and ".join(other.wanted(values) for other in clauses)
            raise ValueError(f"{name} must {wanted}, got {values[name]!r}")


def _broken(own: Limits, values: Values) -> Clause | None:
    """The first clause that does not hold among those whose parameters all have a value."""
    for clause in own.clauses:
        if clause.names <= values.keys() and not clause.holds(own.name, values):
            return clause
    return None


def _is_inside(limits: dict[str, Limits], values: Values) -> bool:
    return all(_broken(limits[name], values) is None for name in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# Drawing


def points(limits: dict[str, Limits], rng: np.random.Generator, number: int) -> list[Values]:
    """So many points inside: in turn one parameter at an end, all of them at ends, and all of them random.

    Where every parameter was at each of its ends, or a corner comes again, a random point takes the place.
    """
    ends = [(name, end) for name, own in limits.items() for end in own.ends(rng)]
    order = iter(rng.permutation(len(ends)))
    drawn: list[Values] = []
    for turn in range(number):
        wishes = {name: own.draw(rng) for name, own in limits.items()}
        point = _near(limits, wishes, rng)
        place = next(order, None) if turn % 3 == 0 else None
        if place is not None:
            name, end = ends[place]
            defaults = {other: limits[other].default for other in limits if other != name}
            wishes = {name: end} | defaults
        elif turn % 3 == 1:
            corners = {name: own.ends(rng) for name, own in limits.items()}
            wishes = {name: choices[rng.integers(len(choices))] for name, choices in corners.items()}
        special = _near(limits, wishes, rng)
        drawn.append(point if special in drawn else special)
    return drawn


def outside(limits: dict[str, Limits], name: str, rng: np.random.Generator) -> list[Values]:
    """Points at which this parameter is just outside, each breaking another of its clauses; the others are inside."""
    own = limits[name]
    others = {other: limits[other].default for other in limits if other != name}
    result = [others | {name: value} for value in own.outside(rng)]
    for clause in own.joint:
        result.append(_breaking(limits, name, clause, rng))
    return result


def _near(limits: dict[str, Limits], wishes: Values, rng: np.random.Generator) -> Values:
    """The point as wished for; where a joint condition forbids a value, the nearest of many draws takes its place."""
    values: Values = {}
    for name, wish in wishes.items():
        if not _is_inside(limits, _with(values, name, wish)):
            drawn = [limits[name].draw(rng) for _ in range(TRIES)]
            inside = [
                value for value in [*limits[name].ends(rng), *drawn] if _is_inside(limits, _with(values, name, value))
            ]
            if not inside:
                raise ValueError(f"no value of {name} keeps to its limits with {values}")
            wish = min(inside, key=lambda value: _gap(value, wish))
        values[name] = wish
    return {name: values[name] for name in limits}


def _breaking(limits: dict[str, Limits], name: str, clause: Clause, rng: np.random.Generator) -> Values:
    """A point at which this ``clause`` alone does not hold, as narrowly as many draws make it."""
    others = tuple(other for other in limits[name].clauses if other is not clause)
    rest = limits | {name: Limits(name, limits[name].default, others)}
    looked_at = {name, *clause.names}
    broken = []
    for _ in range(TRIES):
        values = {other: own.draw(rng) if other in looked_at else own.default for other, own in limits.items()}
        if not clause.holds(name, values) and _is_inside(rest, values):
            broken.append(values)
    if not broken:
        raise ValueError(f"{name} has a limit that nothing inside the others breaks: {clause}")
    return min(broken, key=lambda values: clause.distance(values) if isinstance(clause, Bound) else 0)


def _gap(value: Any, wish: Any) -> float:
    return abs(math.log((1 + abs(value)) / (1 + abs(wish)))) if _is_number(value) and _is_number(wish) else 0


def _with(values: Values, name: str, value: Any) -> Values:
    return {**values, name: value}
