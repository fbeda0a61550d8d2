"""What made a run: the code and the data that its notebook uses, as digests.

The modules are found from the source, not by importing them: every import in the code cells, followed through the
imports inside the package.  So a colour in a figure does not make the record of a training run out of date.
"""

import ast
import hashlib
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pe_lib import collection
from pe_lib.runs.notebook import Notebook

PACKAGE = Path(__file__).resolve().parent.parent
NAME = "pe_lib"
STYLE = f"{NAME}.style"


@dataclass(frozen=True)
class Versions:
    """What a run depends on besides its cells and parameters.  They are compared before a worker starts it."""

    code: str
    data: str


def versions_of(notebook: Notebook) -> Versions:
    """What they are here and now."""
    return Versions(code_version(notebook), data_version(notebook))


def code_version(notebook: Notebook) -> str:
    """The release, and 12 hex digits of a sha256 over the code that a run of the notebook executes.

    Covered are the code cells, except the one of the parameters, and the `files` of the package, by name and content.
    """
    digest = hashlib.sha256()
    for cell in notebook.code:
        _add(digest, "code cell", cell.encode())
    for name, path in sorted(files(notebook).items()):
        _add(digest, name, path.read_bytes())
    return f"{metadata.version('pe-lib')}+{digest.hexdigest()[:12]}"


def data_version(notebook: Notebook) -> str:
    """12 hex digits of a sha256 over the data files whose name, without its ending, the notebook's text holds."""
    digest = hashlib.sha256()
    for path in sorted(collection.DATA.rglob("*.csv")):
        name = path.relative_to(collection.DATA).as_posix()
        hidden = name.startswith(".") or "/." in name
        if not hidden and _names(notebook.source, path.stem):
            _add(digest, name, path.read_bytes())
    return digest.hexdigest()[:12]


def files(notebook: Notebook) -> dict[str, Path]:
    """The files of the package that the notebook uses.  -> {name relative to the package: path}

    These are ``__init__.py``, the modules that its code cells import, what those import in turn, also inside
    functions, and the style sheet if the notebook's text names it.  An import whose module is computed is refused
    in a cell and not seen inside the package, where `identify` imports the code of its user so.
    Raises ValueError for an import that leads to no module of the package, or a cell that cannot be read.
    """
    waiting = {NAME}
    for cell in notebook.code:
        if NAME in cell:  # no other cell can import from the package
            waiting |= _imports_of_cell(cell)
    modules: set[str] = set()
    while waiting:
        module = waiting.pop()
        modules.add(module)
        waiting |= _imports_of_module(module) - modules
    paths = [_existing(module) for module in modules]
    if STYLE in notebook.source:
        paths.append(PACKAGE / "style.mplstyle")
    return {path.relative_to(PACKAGE).as_posix(): path for path in paths}


def packages(notebook: Notebook) -> set[str]:
    """The packages that lines of its code cells and `files` import, by their look: a word too many does no harm."""
    texts = [*notebook.code, *(path.read_text(encoding="utf-8") for path in files(notebook).values())]
    return {name for text in texts for name in re.findall(r"(?m)^\s*(?:import|from) (\w+)", text)}


def _names(text: str, word: str) -> bool:
    """Whether the word stands in the text; looked for as it is first, which takes a hundredth of the time."""
    return word in text and re.search(rf"\b{re.escape(word)}\b", text) is not None


def _add(digest: Any, name: str, content: bytes) -> None:
    digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())


def _imports_of_cell(cell: str) -> set[str]:
    tree = _parsed(cell)
    for call in _dynamic_imports(tree):
        if not _is_text(call.args[:1]):
            raise ValueError(f"an import must name its module, got {ast.unparse(call)}")
    return _imports(tree, package=None)


def _imports_of_module(module: str) -> set[str]:
    path = _existing(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return _imports(ast.parse(path.read_bytes()), package)


def _parsed(cell: str) -> ast.Module:
    """The syntax tree of a code cell; a line of magic (% or !) counts as ``pass``."""
    try:
        return ast.parse(cell)
    except SyntaxError:
        plain = re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", cell)
    try:
        return ast.parse(plain)
    except SyntaxError as error:
        raise ValueError(f"a cell that names {NAME} cannot be read as Python: {error}") from None


def _imports(tree: ast.Module, package: str | None) -> set[str]:
    """The modules of the package that a syntax tree imports, each with the packages around it.

    ``package`` is the one that relative imports start from; a notebook has none.
    """
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            modules |= _imports_from(node, package)
    for call in _dynamic_imports(tree):
        if _is_text(call.args[:1]):
            modules.add(_absolute(call))
    own = [module for module in modules if _is_own(module)]
    return {parent for module in own for parent in _with_parents(module)}


def _imports_from(node: ast.ImportFrom, package: str | None) -> set[str]:
    """The modules of ``from x import a, b``: x, and those of x.a and x.b that are modules."""
    origin = _origin(node, package)
    if not _is_own(origin):
        return set()
    is_package = _existing(origin).name == "__init__.py"
    modules = {origin}
    for alias in node.names:
        member = f"{origin}.{alias.name}"
        if _path(member):
            modules.add(member)
        elif is_package and alias.name not in _bound(origin):
            raise ValueError(f"{ast.unparse(node)}: {origin} has no {alias.name}")
    return modules


def _origin(node: ast.ImportFrom, package: str | None) -> str:
    """The absolute name of the x of ``from x import a``."""
    if not node.level:
        return node.module or ""
    parents = package.split(".") if package else []
    if node.level > len(parents):
        raise ValueError(f"{ast.unparse(node)}: there is no package so far up")
    above = parents[: len(parents) + 1 - node.level]
    return ".".join([*above, node.module] if node.module else above)


def _dynamic_imports(tree: ast.Module) -> list[ast.Call]:
    """The calls of ``import_module`` and ``__import__``."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).split(".")[-1] in ("import_module", "__import__")]


def _absolute(call: ast.Call) -> str:
    """The module that a call imports by a literal name."""
    module = ast.literal_eval(call.args[0])
    if module.startswith("."):
        raise ValueError(f"an import must name its module in full, got {ast.unparse(call)}")
    return module


def _is_text(arguments: list[ast.expr]) -> bool:
    return len(arguments) == 1 and isinstance(arguments[0], ast.Constant) and isinstance(arguments[0].value, str)


def _is_own(module: str) -> bool:
    return module == NAME or module.startswith(f"{NAME}.")


def _with_parents(module: str) -> list[str]:
    """ "a.b.c" -> ["a", "a.b", "a.b.c"]"""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _path(module: str) -> Path | None:
    """The file of a module of the package, if it is there."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    choices = [place / "__init__.py", place.with_suffix(".py")]
    return next((path for path in choices if path.is_file()), None)


def _existing(module: str) -> Path:
    path = _path(module)
    if path is None:
        raise ValueError(f"there is no module {module}")
    return path


def _bound(module: str) -> set[str]:
    """The names that a module gives a meaning to."""
    names = set()
    for node in ast.walk(ast.parse(_existing(module).read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names
