# make notebooks   executes every tutorial into build/notebooks/
# make test        every check
PYTHON ?= python3
BIN := .venv/bin
TUTORIALS := $(sort $(wildcard notebooks/*.ipynb))

.DEFAULT_GOAL := help
.PHONY: help notebooks test lab overview records clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':[^#]*## ' '{ printf "%-12s%s\n", $$1, $$2 }'

notebooks: .venv/installed  ## execute every tutorial notebook into build/notebooks/
	$(BIN)/python -m pe_lib.runs $(TUTORIALS) --out build/notebooks

test: .venv/installed  ## lint, unit tests, notebooks against their stored outputs and with other parameters
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n auto --dist loadscope --durations 5 \
		--nbval --nbval-current-env --nbval-cell-timeout 300 tests $(TUTORIALS)

lab: .venv/installed  ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir notebooks

overview: .venv/installed  ## take the figure of the README and the numbers of data/claims.csv from stored outputs
	$(BIN)/python tests/test_readme.py
	$(BIN)/python tests/test_claims.py

records: .venv/installed  ## make or complete data/results/NAME.csv (NAME=three_ways); without NAME, list them
	$(BIN)/python -m pe_lib.runs.records $(NAME)

clean:  ## remove what the other targets made
	rm -rf .venv build/notebooks .pytest_cache .ruff_cache .hypothesis *.egg-info

# Made last, so an interrupted installation starts again.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing the packages of constraints.txt into .venv; this takes 2 to 5 minutes."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@
