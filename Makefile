# make notebooks   executes every tutorial into build/notebooks/
# make test        every check
# make quick       the checks that take less than a minute
PYTHON ?= python3
BIN := .venv/bin
TUTORIALS := $(sort $(wildcard notebooks/*.ipynb))
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout 3600
UNTIMED := -q --benchmark-disable -m "not slow" $(wildcard benchmarks/bench_*.py)
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
# The limit of a cell is for one that hangs: a busy machine takes ten times as long.
.PHONY: help notebooks test elsewhere quick lint types unit sweep kills execute tables records peers benchmarks lab clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':[^#]*## ' '{ printf "%-12s%s\n", $$1, $$2 }'

notebooks: .venv/installed  ## execute every tutorial notebook into build/notebooks/
	$(BIN)/python -m pe_lib.runs $(TUTORIALS) --out build/notebooks

quick: lint types unit  ## format, lint, types, and the unit tests that are not slow

test: lint types  ## every check: also the slow tests, notebooks against their stored outputs and with other parameters
	$(BIN)/python -m pytest -n auto --dist loadscope --durations 5 --doctest-modules $(NBVAL) tests pe_lib $(TUTORIALS)
	$(BIN)/python -m pytest $(UNTIMED)

elsewhere: .venv/installed  ## fast tests and notebooks as on other processors: less of NumPy, PyTorch and BLAS, other threads, locale, time zone
	$(BIN)/python .ci/elsewhere.py

lint: .venv/installed  ## format and lint, notebooks included
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/installed  ## the type checker on the package
	$(BIN)/python -m mypy

unit: .venv/installed  ## unit tests that are not slow, and the examples in docstrings
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --doctest-modules tests pe_lib
	$(BIN)/python -m pytest $(UNTIMED)

sweep: .venv/installed  ## every tutorial at hundreds of parameters inside its limits, an hour or two; NB=... for one
	POINTS=400 $(BIN)/python -m pytest -n auto tests/test_limits.py $(if $(NB),-k $(basename $(notdir $(NB))))

kills: .venv/installed  ## a grid, of which each kind of process is killed twenty times: ten minutes
	KILLS=20 $(BIN)/python -m pytest -s tests/runs/test_kills.py -k test_killed

execute: .venv/installed  ## execute a notebook and store its outputs: make execute NB=notebooks/04_frequencies.ipynb
	$(BIN)/python .ci/execute.py $(or $(NB),$(error say which: make execute NB=notebooks/04_frequencies.ipynb))

tables: .venv/installed  ## renew what is generated: the tables of README and notebook 0, and the figure of README
	$(BIN)/python .ci/tables.py

records: .venv/installed  ## make or complete data/results/NAME.csv (NAME=family_text); without NAME, list them
	$(BIN)/python -m pe_lib.runs.make_records $(NAME)

peers: build/peers/installed  ## install the packages of other authors that are timed

benchmarks: build/peers/installed  ## time everything against its floor into data/benchmarks.csv, on a machine that does nothing else
	$(BIN)/python -m benchmarks

lab: .venv/installed  ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir notebooks

clean:  ## remove what the other targets made
	rm -rf .venv build/notebooks build/peers build/peers.new .benchmarks .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info

# Made last, so an interrupted installation starts again.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing the packages of constraints.txt into .venv; this takes 2 to 5 minutes."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

# Beside .venv, not in it: what pe_lib needs stays as it is.
build/peers/installed: benchmarks/peers.txt .venv/installed
	rm -rf build/peers.new
	$(BIN)/python -m pip install --quiet --no-deps --target build/peers.new --requirement benchmarks/peers.txt
	rm -rf build/peers
	mv build/peers.new build/peers
	touch $@
