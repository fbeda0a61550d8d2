"""A notebook as text: its cells, and the parameters that one of them sets."""

import ast
import io
import json
import tokenize
from dataclasses import dataclass

from pe_lib.collection import plain
from pe_lib.runs import limits
from pe_lib.runs.limits import Limits

PARAMETERS = "parameters"
INJECTED = "injected-parameters"
WANTED = "the parameters cell must hold lines NAME = LITERAL only, got"


@dataclass(frozen=True)
class Cell:
    kind: str  # "code", "markdown" or "raw"
    source: str
    tags: list[str]  # in alphabetical order


@dataclass(frozen=True)
class Notebook:
    source: str  # the text of its file
    cells: list[Cell]
    defaults: dict  # name -> value, as its parameters cell sets them
    limits: dict[str, Limits]  # of those whose comment states any

    @property
    def code(self) -> list[str]:
        """What its code cells hold, except the one of the parameters."""
        return [cell.source for cell in self.cells if cell.kind == "code" and PARAMETERS not in cell.tags]


def read(source: str) -> Notebook:
    """The notebook whose file holds the text ``source``.

    Raises ValueError unless it is of format 4 and has one code cell tagged ``parameters``, of lines NAME = LITERAL,
    whose limits can be read.
    """
    cells = _cells(source)
    tagged = [cell.source for cell in cells if cell.kind == "code" and PARAMETERS in cell.tags]
    injected = any(INJECTED in cell.tags for cell in cells)
    if len(tagged) != 1 or injected:
        raise ValueError(f"one code cell must be tagged '{PARAMETERS}', and none '{INJECTED}'")
    statements = _statements(tagged[0])
    defaults = _defaults(statements)
    return Notebook(source, cells, defaults, _limits(tagged[0], statements, defaults))


def _cells(source: str) -> list[Cell]:
    try:
        return [_cell(entry) for entry in json.loads(source)["cells"]]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise ValueError("this is not a notebook of format 4") from None


def _cell(entry: dict) -> Cell:
    tags = entry["metadata"].get("tags", [])
    return Cell(entry["cell_type"], "".join(entry["source"]), sorted(tags))


def _statements(cell: str) -> list[ast.stmt]:
    try:
        return ast.parse(cell).body
    except SyntaxError as error:
        raise ValueError(f"{WANTED}: {error}") from None


def _defaults(statements: list[ast.stmt]) -> dict:
    """{name: value} of the lines of a parameters cell."""
    defaults = {}
    for statement in statements:
        try:
            defaults.update(_assigned(statement))
        except ValueError:
            raise ValueError(f"{WANTED}: {ast.unparse(statement)}") from None
    return defaults


def _limits(cell: str, statements: list[ast.stmt], defaults: dict) -> dict[str, Limits]:
    """{name: limits} of the parameters whose comment states any, at the end of the line."""
    tokens = tokenize.generate_tokens(io.StringIO(cell).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    of_names: dict[str, str] = {}
    for statement in statements:
        assert statement.end_lineno
        comment = comments.get(statement.end_lineno, "")
        of_names |= dict.fromkeys(_assigned(statement), comment)
    return limits.parse_all(of_names, defaults)


def _assigned(statement: ast.stmt) -> dict:
    """{name: value} of ``a = 1`` or ``a = b = 1``.  Raises ValueError for any other statement."""
    if not isinstance(statement, ast.Assign):
        raise ValueError("not an assignment")
    value = ast.literal_eval(statement.value)
    assigned = {}
    for target in statement.targets:
        if not isinstance(target, ast.Name):
            raise ValueError("not a name")
        assigned[target.id] = plain(target.id, value)
    return assigned
