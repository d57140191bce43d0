# demo | test | lint | bench | bench-report: each sets up all it needs in .venv, then runs.
# On a machine with nothing but Python (3.11 or newer) `make demo` is enough.
#
#   PYTHON=python3.12   the interpreter of the environment (default: the first suitable one found)
#   TORCH=...           what pip installs as torch, for test, lint and bench only; any pip arguments,
#                       e.g. TORCH="torch==2.13.0 --index-url <an index with the build you want>"

PYTHON ?=
TORCH ?= torch==2.13.0
TESTS ?= tests
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

.PHONY: help demo test lint bench bench-report clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -n 6

demo: $(VENV)/.demo
	$(BIN)/xcnet run H2O N2 --xc NN-r2SCAN,r2SCAN,M06-L,B3LYP --basis def2-svp --atomization

# One thread for each worker: the tests' systems are too small for more.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Speed on this machine, with the published networks: once .venv/bin/xcnet models install nagai2020;
# XCNET_NAGAI2020=FOLDER has their original files, for torch beside them.
bench: $(VENV)/.dev
	$(BIN)/xcnet bench speed --output benchmarks/results/speed.jsonl

# Page, figures and the README's tables from the committed results.
bench-report: $(VENV)/.dev
	cd benchmarks/results && ../../$(BIN)/xcnet bench report \
	  --output ../../build/bench-report --readme ../../README.md

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Names of other versions may be stubs that fail when run: each candidate is tried.
$(VENV)/.python:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Setting up $(VENV) with $$("$$python" --version) (once)"; \
	    rm -rf $(VENV); \
	    "$$python" -m venv $(VENV) || { \
	      echo "$$python cannot make a virtual environment: install its venv package" \
	           "(on Debian and Ubuntu: apt install python3-venv)" >&2; \
	      rm -rf $(VENV); exit 1; }; \
	    touch $@; exit 0; \
	  fi; \
	done; \
	echo "xcnet needs Python 3.11 or newer; none of these is:" \
	     "$(or $(PYTHON),python3, python3.14 ... python3.11)." \
	     "Name one: make PYTHON=/path/to/python3.12" >&2; \
	exit 1

$(VENV)/.demo: $(VENV)/.python pyproject.toml
	$(PIP) --editable '.[pyscf]'
	@touch $@

# torch first, so that the project's own requirement finds it installed.
$(VENV)/.dev: $(VENV)/.python pyproject.toml
	$(PIP) $(TORCH)
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo
