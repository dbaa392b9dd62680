# One environment in .venv, made from pyproject.toml and constraints.txt; every target uses it without activating it.

PYTHON ?= python3
EXTRAS ?= dev,docs,onnx,optuna,postgres,optim,tensorboard,text,ui
BENCH ?= $(sort $(wildcard benchmarks/[a-z]*.py))
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet --no-input

.PHONY: help demo test torture check lint ruff format spelling types imports docs screenshots wheel floors bench clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    draw a set of pictures, tune a network on them, write the report; offline, about a minute"
	@echo "make test    run the tests, a process on each core (ARGS='-n 0 tests/data' for some of them in one)"
	@echo "make torture kill, starve and tear studies, and all slow tests; writes docs/reliability.md"
	@echo "make check   what CI runs: ruff, typos, mypy, the import contract, the tests"
	@echo "make lint    the same without the tests"
	@echo "make docs    write docs/parts.md, docs/findings.md, docs/learn.md and the notebook again, and build all pages as a site in docs/_site"
	@echo "make screenshots run the demo and photograph its report with Chromium, for the README"
	@echo "make wheel   build the wheel and the source distribution in dist, and try them in clean environments"
	@echo "make floors  run the tests on the lowest version of every dependency that is allowed, in .floors"
	@echo "make bench   run the benchmarks, one line of JSON each (BENCH=benchmarks/one.py for one of them)"
	@echo "make clean   remove .venv and what tools have cached; studies in runs/ are kept"
	@echo "The first use makes .venv. PYTHON=... names another Python (3.11 or newer), ARGS=... goes on to demo and test."

demo: $(STAMP)
	$(BIN)/tame demo $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

torture: $(STAMP)
	$(BIN)/python tests/torture/run.py
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'torture or slow'

check: lint test

lint: ruff format spelling types imports

ruff: $(STAMP)
	$(BIN)/ruff check .

format: $(STAMP)
	$(BIN)/ruff format --check .

spelling: $(STAMP)
	$(BIN)/typos

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/mypy --platform win32

imports: $(STAMP)
	$(BIN)/lint-imports --no-logo

docs: $(STAMP)
	$(BIN)/python docs/make_site.py

screenshots: $(STAMP)
	$(BIN)/python docs/make_screenshots.py $(ARGS)

bench: $(STAMP)
	@test -n "$(strip $(BENCH))" || { echo "there are no benchmarks in benchmarks/" >&2; exit 1; }
	@for script in $(BENCH); do $(BIN)/python "$$script" || exit 1; done

wheel: $(STAMP)
	$(BIN)/python tests/wheel.py $(ARGS)

# An environment of its own, where what is not constrained is the newest that fits. pip tries hundreds of combinations of
# old versions one by one, for an hour; uv finds one in half a minute.
floors:
	rm -rf .floors && "$(PYTHON)" -m venv .floors
	.floors/bin/python tests/floors.py > .floors/constraints.txt
	.floors/bin/python -m pip install --disable-pip-version-check --quiet uv
	.floors/bin/uv pip install --quiet --python .floors/bin/python --constraint .floors/constraints.txt --editable ".[$(EXTRAS)]"
	.floors/bin/python -m pytest -n auto --dist worksteal $(ARGS)

clean:
	rm -rf .venv .floors .torture.json .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist docs/_site docs/_work
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last: an installation that was interrupted has none, and is made again from nothing.
$(STAMP): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "no $(PYTHON) found; name a Python of 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "TAME needs Python 3.11 or newer, $(PYTHON) is $$("$(PYTHON)" -V 2>&1); name another: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) comes without venv; install it (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@test -f $(STAMP) && $(BIN)/python -c '' 2>/dev/null || { rm -rf .venv && "$(PYTHON)" -m venv .venv; }
	@rm -f $(STAMP)
	@echo "installing TAME into .venv; the first time takes some minutes, most of them for PyTorch" >&2
	@$(PIP) install --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $(STAMP)
