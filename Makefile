# demo | quick | test | test-pyscf | test-oldest | lint | docs | docs-reports | fuzz | audit | sbom |
# bench | bench-report: each sets up all it needs in .venv, then runs.
# On a machine with nothing but Python (3.11 or newer) `make demo` is enough. `make quick` is the
# part of `make test` that runs no host program: two minutes, after every change.
#
#   PYTHON=python3.12   the interpreter of the environment (default: the first suitable one found)
#   TORCH=...           what pip installs as torch, for test, lint and bench only; any pip arguments,
#                       e.g. TORCH="torch==2.13.0 --index-url <an index with the build you want>"
#   VERSION=2.11        the PySCF of test-pyscf (default: the oldest supported), beside .venv's own

PYTHON ?=
TORCH ?= torch==2.13.0
TESTS ?= tests
JOBS ?= 2
VERSION ?= 2.8
MINUTES ?= 30
PYSCF_TESTS ?= $(wildcard tests/test_pyscf_*.py) tests/test_kxc.py

VENV := .venv
BIN := $(VENV)/bin
OTHER := $(VENV)/pyscf-$(VERSION)
PIP_INSTALL := -m pip --disable-pip-version-check --quiet install
PIP := $(BIN)/python $(PIP_INSTALL)
# Psi4 is built for one Python and, up to 1.9, for numpy 1: it has an environment of its own.
PSI4 := .venv-psi4
# What an editable installation compiles: it is installed again when this changes.
SOURCES := pyproject.toml CMakeLists.txt $(wildcard adapters/libxc/*)
# One thread for each worker: the tests' systems are too small for more.
PYTEST := -m pytest -n $(JOBS) --dist loadfile --durations 12 --durations-min 10

# The oldest versions that pyproject.toml admits, in an environment of their own.
OLDEST := .venv-oldest
OLDEST_VERSIONS := numpy==1.26.* onnxruntime==1.19.* pyscf==2.8.* fastjsonschema==2.19.* platformdirs==4.0.*
OLDEST_TESTS ?= $(addprefix tests/test_,spec.py registry.py functional.py libxc.py conformance.py \
  pylibxc_compat.py hostile.py compute_hostile.py check.py native.py native_abi.py run.py \
  pyscf_adapter.py)

QUICK_TESTS ?= $(addprefix tests/test_,architecture.py bench_report.py bench_sets.py cards.py check.py \
  cli.py compute_hostile.py conformance.py expression.py functional.py graph.py hostile.py libxc.py \
  pylibxc_compat.py registry.py spec.py training_sets.py variables.py)

.PHONY: help demo quick test test-pyscf test-oldest test-psi4 hosts lint docs docs-reports fuzz audit sbom \
  lock bench bench-report clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -n 9

demo: $(VENV)/.demo
	$(BIN)/xcnet run H2O N2 --xc NN-metaGGA,r2SCAN,M06-L,B3LYP --basis def2-svp --atomization

quick: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) -m "not slow" $(QUICK_TESTS)

test: hosts $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) --ignore tests/psi4 $(TESTS)
	@if command -v psi4 >/dev/null; then $(MAKE) test-psi4; \
	else echo "Psi4 is not installed: tests/psi4 skipped" >&2; test "$$CI" != true; fi

# The published networks are converted in the main environment, which has torch.
test-psi4: $(VENV)/.dev $(PSI4)/.ready
	$(BIN)/python -m tests.published $(PSI4)/published
	OMP_NUM_THREADS=1 XCNET_TEST_MODELS=$(CURDIR)/$(PSI4)/published $(PSI4)/bin/python $(PYTEST) tests/psi4

# Programs that the tests run xcnet in; installed where that takes nothing but apt.
hosts:
	@.ci/hosts

# Older PySCF fails with numpy 2.4 in its own TDDFT, and 2.8 leaves files open.
test-pyscf: $(VENV)/.dev
	@test -d $(OTHER)/pyscf || { $(PIP) --target $(OTHER).part "pyscf==$(VERSION).*" "numpy<2.4" && \
	  mv $(OTHER).part $(OTHER); }
	OMP_NUM_THREADS=1 PYTHONPATH=$(OTHER) $(BIN)/python $(PYTEST) \
	  -W ignore::ResourceWarning -W ignore::pytest.PytestUnraisableExceptionWarning $(PYSCF_TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Pages in build/docs, all anew: they are made from sources that Sphinx does not know of. The
# examples in them are run by tests/test_docs.py.
docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -E -W --keep-going -n -q -b html docs build/docs
	@echo "build/docs/index.html"

# Reports of the shipped functionals, which the pages link; minutes for each.
docs-reports: $(VENV)/.dev
	set -e; for folder in models/*/; do name=$$(basename "$$folder"); \
	  OMP_NUM_THREADS=1 $(BIN)/xcnet check "$$folder" --scf --html docs/extra/reports/$$name.html \
	    --back ../reports.html --json docs/extra/reports/$$name.json; done
	sha256sum models/*/reference.npz > docs/extra/reports/SHA256SUMS

test-oldest: $(OLDEST)/.ready
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python $(PYTEST) $(OLDEST_TESTS)

# Coverage-guided search for inputs that the loader does not refuse as it should. A finding is written
# to tests/fuzz, and stays there as a test once it is mended.
fuzz: $(VENV)/.dev
	$(PIP) 'atheris>=2.3'
	mkdir -p tests/fuzz
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz_loader -max_total_time=$$((60 * $(MINUTES))) \
	  -max_len=20000 -timeout=10 -rss_limit_mb=1000 -artifact_prefix=tests/fuzz/ -print_final_stats=1

# Known vulnerabilities in the locked versions; also fails for a package that cannot be looked up.
audit: $(VENV)/.python
	$(PIP) pip-audit
	$(BIN)/pip-audit --progress-spinner off --strict --disable-pip --require-hashes \
	  --requirement requirements-dev.lock

# Software bill of materials (CycloneDX) of an environment with xcnet and nothing else.
sbom: $(VENV)/.dev
	rm -rf build/sbom && $(BIN)/python -m venv build/sbom
	build/sbom/bin/python $(PIP_INSTALL) .
	$(PIP) 'cyclonedx-bom>=4'
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --of JSON \
	  --output-file build/xcnet.cdx.json build/sbom/bin/python

# Versions of all that development needs, with their hashes, for every Python that is supported.
lock: $(VENV)/.dev
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev \
	  --custom-compile-command "make lock" --output-file requirements-dev.lock pyproject.toml

# Speed on this machine, with the published networks: once .venv/bin/xcnet models install nagai2020;
# XCNET_PUBLISHED=FOLDER has their original files in nagai2020/, for torch beside them.
bench: $(VENV)/.dev
	$(BIN)/xcnet bench speed --output benchmarks/results/speed.jsonl

# Page, figures, and the tables and pictures of README and docs, from the committed results.
bench-report: $(VENV)/.dev
	cd benchmarks/results && ../../$(BIN)/xcnet bench report \
	  --output ../../build/bench-report --pictures ../../docs/static \
	  --readme ../../README.md --readme ../../docs/accuracy.md

clean:
	rm -rf $(VENV) $(PSI4) $(OLDEST) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

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

$(VENV)/.demo: $(VENV)/.python $(SOURCES)
	@echo "Installing xcnet with PySCF, ONNX Runtime and numba into $(VENV) (once; minutes on a slow line)"
	$(BIN)/python $(subst --quiet,,$(PIP_INSTALL)) --editable '.[pyscf]'
	@touch $@

# torch first, so that the project's own requirement finds it installed.
$(VENV)/.dev: $(VENV)/.python $(SOURCES)
	@echo "Installing torch and all that development needs into $(VENV) (once; minutes on a slow line)"
	$(BIN)/python $(subst --quiet,,$(PIP_INSTALL)) $(TORCH)
	$(BIN)/python $(subst --quiet,,$(PIP_INSTALL)) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(OLDEST)/.ready: $(VENV)/.python $(SOURCES)
	rm -rf $(OLDEST) && $(BIN)/python -m venv $(OLDEST)
	$(OLDEST)/bin/python $(PIP_INSTALL) $(OLDEST_VERSIONS) $(TORCH)
	$(OLDEST)/bin/python $(PIP_INSTALL) --editable '.[pyscf,check,train]' $(OLDEST_VERSIONS) \
	  'hypothesis>=6.100' 'pytest>=8.2' 'pytest-xdist>=3.6' 'jsonschema>=4.20'
	@touch $@

# Made from the interpreter that runs psi4, whose packages (qcelemental, pint, ...) it sees.
$(PSI4)/.ready: $(SOURCES)
	rm -rf $(PSI4)
	"$$(sed -n '1s/^#! *//p' "$$(command -v psi4)")" -m venv --system-site-packages $(PSI4)
	psi4 --psiapi-path | sed -n 's/^export PYTHONPATH=\([^:]*\).*/\1/p' \
	  > "$$($(PSI4)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/psi4.pth"
	$(PSI4)/bin/python $(PIP_INSTALL) --editable '.[pyscf]' 'numpy<2' 'dftd4>=3.6' pytest pytest-xdist
	@touch $@
