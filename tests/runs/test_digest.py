"""The digest of a run: the modules that its notebook imports, by name and content, and nothing else."""

import re

import pytest
from runs_toys import notebook

from pe_lib import collection
from pe_lib.runs import digest
from pe_lib.runs.digest import code_version, data_version, files
from pe_lib.runs.notebook import read

# A package in which c is a package, and every way to import leads somewhere else.
PACKAGE = {
    "__init__.py": "'''The map names a, b and c.'''\nTOP = 1\n",
    "a.py": "def late():\n    from pe_lib import b\n",
    "b.py": "VALUE = 1\n",
    "c/__init__.py": "from .first import Named\n",
    "c/first.py": "from . import second\nfrom ..d import deep\nclass Named: pass\n",
    "c/second.py": "import json\nfrom .. import e\n",
    "c/alone.py": "",
    "c/__main__.py": "import pe_lib.f",
    "d.py": "import numpy.linalg\ndeep = 1\n",
    "e.py": "",
    "f.py": "",
    "user.py": "import importlib\ndef load(name):\n    return importlib.import_module(name)\n",
    "lazy.py": "import importlib\nb = importlib.import_module('pe_lib.b')\n",
    "loop.py": "import pe_lib.loop2\n",
    "loop2.py": "import pe_lib.loop\n",
    "broken.py": "from pe_lib import nothing\n",
    "near.py": "import importlib\nb = importlib.import_module('.b', __package__)\n",
    "far.py": "from ... import b\n",
    "style.mplstyle": "",
    "notes.txt": "",
}
OF_C = {"__init__.py", "c/__init__.py", "c/first.py", "c/second.py", "d.py", "e.py"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """That package, in place of this one."""
    folder = tmp_path / "pe_lib"
    (folder / "c").mkdir(parents=True)
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(digest, "PACKAGE", folder)
    return folder


@pytest.fixture
def toy(tmp_path):
    """A notebook of these cells, read."""
    return lambda *cells: read(notebook(tmp_path / "case.ipynb", *cells).read_text())


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("import numpy, pe_library", {"__init__.py"}),
        ("x = 'pe_lib'  # from pe_lib import b", {"__init__.py"}),
        ("from pe_lib import TOP", {"__init__.py"}),
        ("from pe_lib import b", {"__init__.py", "b.py"}),
        ("from pe_lib import e, f as g", {"__init__.py", "e.py", "f.py"}),
        ("from pe_lib.b import VALUE", {"__init__.py", "b.py"}),
        ("from pe_lib.b import *", {"__init__.py", "b.py"}),
        ("import pe_lib.e, pe_lib.f as g", {"__init__.py", "e.py", "f.py"}),
        ("from pe_lib import a", {"__init__.py", "a.py", "b.py"}),
        ("def late():\n    import pe_lib.f", {"__init__.py", "f.py"}),
        ("import pe_lib.c", OF_C),
        ("from pe_lib.c import Named", OF_C),
        ("from pe_lib.c import alone", OF_C | {"c/alone.py"}),
        ("import pe_lib.c.alone", OF_C | {"c/alone.py"}),
        ("from pe_lib import loop", {"__init__.py", "loop.py", "loop2.py"}),
        ("import importlib\nimportlib.import_module('pe_lib.f')", {"__init__.py", "f.py"}),
        ("__import__('pe_lib.f')", {"__init__.py", "f.py"}),
        ("from pe_lib import lazy", {"__init__.py", "lazy.py", "b.py"}),
        ("from pe_lib import user", {"__init__.py", "user.py"}),
        ("%matplotlib inline\nfrom pe_lib import b", {"__init__.py", "b.py"}),
        ("%%time\nif True:\n    !ls\n    from pe_lib import b", {"__init__.py", "b.py"}),
        ("plt.style.use('pe_lib.style')", {"__init__.py", "style.mplstyle"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "files",  # a set is spelt in another order by each process
)
def test_files_of_a_notebook(package, toy, cell, wanted):
    found = files(toy("x = 1", cell))
    assert found.keys() == wanted and all(found[name] == package / name for name in wanted)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("from pe_lib import nothing", "from pe_lib import nothing: pe_lib has no nothing"),
        ("import pe_lib.nothing", "there is no module pe_lib.nothing"),
        ("from pe_lib.nothing import x", "there is no module pe_lib.nothing"),
        ("from pe_lib.c import nothing", "pe_lib.c has no nothing"),
        ("from pe_lib import *", "pe_lib has no *"),
        ("import pe_lib.b.VALUE", "there is no module pe_lib.b.VALUE"),
        ("from pe_lib import broken", "pe_lib has no nothing"),
        ("from pe_lib import near", "an import must name its module in full, got importlib.import_module('.b', __p"),
        ("from pe_lib import far", "from ... import b: there is no package so far up"),
        ("from . import pe_lib", "from . import pe_lib: there is no package so far up"),
        (
            "name = 'pe_lib.f'\nimportlib.import_module(name)",
            "an import must name its module, got importlib.import_m",
        ),
        ("from pe_lib import (b", "a cell that names pe_lib cannot be read as Python"),
    ],
    ids=str,
)
def test_what_leads_nowhere_is_an_error(package, toy, cell, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        files(toy(cell))


def test_a_cell_that_is_no_python_is_left_alone_unless_it_names_the_package(package, toy):
    assert files(toy("%%bash\nfor x in *; do echo $x; done")).keys() == {"__init__.py"}
    with pytest.raises(ValueError, match="cannot be read as Python"):
        files(toy("%%bash\nfor x in pe_lib/*; do echo $x; done"))


@pytest.mark.parametrize("name", sorted(OF_C))
def test_the_version_changes_with_each_file_that_is_used(package, toy, name):
    used = toy("import pe_lib.c")
    before = code_version(used)
    (package / name).write_text(PACKAGE[name] + "# more\n")
    assert code_version(used) != before


@pytest.mark.parametrize("name", sorted(PACKAGE.keys() - OF_C))
def test_the_version_does_not_change_with_any_other(package, toy, name):
    used = toy("import pe_lib.c")
    before = code_version(used)
    (package / name).write_text(PACKAGE[name] + "# more\n")
    assert code_version(used) == before
    assert re.fullmatch(r"0\.1\.0\+[0-9a-f]{12}", before)


def test_the_style_is_covered_where_it_is_named(package, toy):
    used = toy("plt.style.use('pe_lib.style')")
    before = code_version(used)
    (package / "style.mplstyle").write_text("font.size: 9")
    assert code_version(used) != before


def test_the_order_in_which_files_are_found_does_not_matter(package, toy, monkeypatch):
    """It hangs on the seed of the interpreter's hashes, which a worker does not share."""
    used = toy("import pe_lib.c")
    before = code_version(used)
    backwards = dict(reversed(files(used).items()))
    monkeypatch.setattr(digest, "files", lambda _: backwards)
    assert code_version(used) == before


def test_two_files_that_change_places_change_the_version(package, toy):
    used = toy("from pe_lib import e, f")
    (package / "e.py").write_text("x = 1")
    before = code_version(used)
    (package / "e.py").rename(package / "g.py")
    (package / "f.py").rename(package / "e.py")
    (package / "g.py").rename(package / "f.py")
    assert code_version(used) != before


def test_a_module_that_becomes_a_package_changes_the_version(package, toy):
    used = toy("from pe_lib import b")
    before = code_version(used)
    (package / "b").mkdir()
    (package / "b.py").rename(package / "b" / "__init__.py")
    assert files(used).keys() == {"__init__.py", "b/__init__.py"} and code_version(used) != before


def test_code_cells_are_covered_but_neither_prose_nor_defaults(package, tmp_path):
    def version(**changes):
        path = notebook(
            tmp_path / "case.ipynb", changes.get("cell", "x = 1"), parameters=changes.get("text", "a = 1")
        )
        return code_version(read(path.read_text().replace("# A title", changes.get("title", "# A title"))))

    assert version() == version(text="a = 2") == version(title="# Another")
    assert version() != version(cell="x = 2")


def test_the_experiments_do_not_depend_on_figures(monkeypatch):
    for path in sorted((digest.PACKAGE.parent / "notebooks" / "experiments").glob("*.ipynb")):
        used = files(read(path.read_text())).keys()
        assert "training.py" in used and "check.py" in used, path.stem
        assert not used & {"plots.py", "style.mplstyle", "measure.py", "claims.py"}, path.stem
        assert not any(name.startswith("identify") for name in used), path.stem


def test_every_notebook_here_can_be_resolved():
    for path in sorted((digest.PACKAGE.parent / "notebooks").rglob("*.ipynb")):
        used = files(read(path.read_text()))
        assert ("style.mplstyle" in used) == (path.parent.name == "notebooks"), path.stem


def test_a_run_depends_on_the_data_that_its_notebook_names(tmp_path, monkeypatch, toy):
    data = tmp_path / ".hidden" / "data"
    monkeypatch.setattr(collection, "DATA", data)
    (data / "results").mkdir(parents=True)
    used = toy("from pe_lib import collection; collection.read('first')")
    versions = [data_version(used)]
    for name, text in [("results/first.csv", "1"), ("results/first.csv", "2"), ("first.csv", "2")]:
        (data / name).write_text(text)
        versions.append(data_version(used))
    (data / "first.csv").rename(data / "first_again.csv")  # no longer named
    versions.append(data_version(used))
    assert len(set(versions[:4])) == 4 and versions[4] == versions[2]
    (data / "results" / "first.csv").rename(data / "first.csv")
    versions.append(data_version(used))
    assert versions[5] not in versions[:5]
    for name in (
        "results/second.csv",
        "results/first_not.csv",
        "results/fir.csv",
        "results/README.md",
        "results/.first.csv",
    ):
        (data / name).write_text("x")
        assert data_version(used) == versions[-1], name
