# handfast: `make demo` shows it, `make test` tests it. Each sets up what it needs, on a fresh machine too.
#
#   make demo [HOST=example.com[:443]]   the annotated handshake: with a server of its own, or with HOST
#   make test [JOBS=2] [ARGS=...]        lint, then all tests, with the coverage that the core has to have
#   make bench [ARGS=--quick]            handfast beside its peers
#   make fuzz [TARGET=...] [SECONDS=60]  fuzz each target, or some, for so many seconds; JOBS at a time
#   make fuzz-merge [...]                the same, and what reaches new code joins the corpus
#   make venv | peers | lint | format    the parts
#   make clean                           remove what all of this made
#
# All that has to be there is Python 3.11 or later with venv: PYTHON=python3.12 names another one than python3.

PYTHON ?= python3
HOST ?=
ARGS ?=
JOBS ?= 2
TARGET ?=
SECONDS ?= 60

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Each stamp stands for what is installed; a change of pyproject.toml makes them all old.
BASE := $(VENV)/.base
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench
FUZZ := $(VENV)/.fuzz

CORE := src/handfast/wire/*,src/handfast/record/*,src/handfast/crypto/*,src/handfast/handshake/*,src/handfast/connection.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test venv peers lint format bench fuzz fuzz-merge clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: $(BASE)
	@$(BIN)/python -m handfast.cli.demo $(if $(HOST),'$(HOST)')

test: venv peers lint
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --cov --cov-report= $(ARGS)
	$(BIN)/python -m coverage report
	$(BIN)/python -m coverage report --include='$(CORE)' --fail-under=100

venv: $(DEV)

peers:
	@scripts/peers.sh

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BENCH)
	@$(BIN)/python -m bench $(ARGS)

fuzz: $(FUZZ)
	@$(BIN)/python -m fuzz --seconds $(SECONDS) --jobs $(JOBS) $(ARGS) $(TARGET)

fuzz-merge: $(FUZZ)
	@$(BIN)/python -m fuzz --seconds $(SECONDS) --jobs $(JOBS) --merge $(ARGS) $(TARGET)

$(BASE): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "handfast needs Python 3.11 or later; PYTHON=... names one. This is: $$($(PYTHON) --version 2>&1)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "This Python has no venv. On Debian, as root: apt-get install python3-venv"; exit 1; }
	@echo "venv: $(VENV), with handfast and its command line"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable '.[cli]'
	@touch $@

$(DEV): $(BASE)
	@echo "venv: tools and Python peers of the tests"
	@$(PIP) install --group dev
	@touch $@

$(BENCH): $(BASE)
	@echo "venv: peers of the bench"
	@$(PIP) install --group bench
	@touch $@

$(FUZZ): $(BASE)
	@echo "venv: the fuzzer"
	@$(PIP) install --group fuzz || \
	    { echo "atheris, the fuzzer, is there for CPython 3.11 to 3.14 on Linux (x86-64) as a wheel; elsewhere it has"; \
	      echo "to be built with clang. The corpus runs without it: make test ARGS=tests/fuzz"; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
