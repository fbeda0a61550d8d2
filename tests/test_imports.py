"""Which room of the package imports which, read from the source.

The map in the docstring of ``pe_lib/__init__.py`` lists the rooms in their order.  A room imports rooms above it, and
`check`, which stands last.
"""

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pe_lib"
ROOMS = re.findall(
    r"^    (\w+)  ", ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text()), clean=False), re.M
)
# What never loads torch when it is imported.
NUMPY = {"sinusoidal", "rotary", "bias", "analysis", "conventions", "tasks", "text", "controls", "plots", "check"}
NUMPY |= {"collection", "claims", "identify", "runs"}


@dataclass(frozen=True)
class Import:
    """An import statement's target, by its full name, and whether importing the module carries it out."""

    target: str
    at_once: bool


def modules():
    """Every module of the package, by its dotted name.  -> {name: file}"""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def imports(name):
    """The imports of a module, those inside functions too; what only the type checker reads is none."""
    tree = ast.parse(MODULES[name].read_text())
    deferred, never = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            deferred |= set(ast.walk(node))
        if is_for_types(node):
            never |= set(ast.walk(node))
    result = set()
    for node in set(ast.walk(tree)) - never:
        for target in targets(node, name):
            result.add(Import(target, node not in deferred))
    return result


def is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def targets(node, name):
    """The modules that a statement of module ``name`` imports; a name taken from a module counts as that module."""
    if isinstance(node, ast.Import):
        return [resolved(alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        source = node.module or ""
        if node.level:
            is_package = MODULES[name].stem == "__init__"
            parents = name.split(".")[: len(name.split(".")) - node.level + is_package]
            source = ".".join([*parents, source]).rstrip(".")
        return [resolved(f"{source}.{alias.name}") for alias in node.names]
    return []


def resolved(target):
    """``pe_lib.check.size`` is of the module ``pe_lib.check``; of another package its top counts."""
    if target.split(".")[0] != "pe_lib":
        return target.split(".")[0]
    while target not in MODULES:
        target = target.rpartition(".")[0]
    return target


GRAPH = {name: imports(name) for name in MODULES}


def room(name):
    """The room that a module stands in; the package itself is none."""
    return name.split(".")[1] if "." in name else None


def loaded(name):
    """Everything that importing this module imports at once, directly or through others."""
    seen, ahead = set(), [name]
    while ahead:
        current = ahead.pop()
        parents = {".".join(current.split(".")[:depth]) for depth in range(1, current.count(".") + 1)}
        wanted = {item.target for item in GRAPH.get(current, ()) if item.at_once}
        for target in (wanted | parents) - seen:
            seen.add(target)
            ahead.append(target)
    return seen


def test_the_map_lists_every_room_once():
    assert sorted(ROOMS) == sorted({room(name) for name in MODULES} - {None})
    assert ROOMS[-1] == "check"


@pytest.mark.parametrize("name", [name for name in MODULES if room(name)])
def test_imports_run_one_way(name):
    above = {*ROOMS[: ROOMS.index(room(name))], room(name), "check"} if room(name) != "check" else {"check"}
    others = {room(item.target) for item in GRAPH[name] if item.target.startswith("pe_lib.")}
    assert others <= above, f"{name} imports {', '.join(sorted(others - above))}, which do not stand above it"


@pytest.mark.parametrize("name", MODULES)
def test_no_module_comes_back_to_itself(name):
    seen, ahead = set(), [name]
    while ahead:
        current = ahead.pop()
        wanted = {item.target for item in GRAPH[current] if item.target in MODULES}
        for target in wanted - seen - {"pe_lib", current}:
            seen.add(target)
            ahead.append(target)
    assert name not in seen


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) in NUMPY])
def test_numpy_rooms_do_not_load_torch(name):
    assert "torch" not in loaded(name)


def test_torch_is_found_where_it_is():
    assert "torch" in loaded("pe_lib.transformer") and "torch" in loaded("pe_lib.training")


def test_numpy_rooms_do_not_load_torch_through_packages():
    """As the source cannot tell: what other packages load."""
    names = sorted(f"pe_lib.{name}" for name in NUMPY)
    code = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0
