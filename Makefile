# Thin names for the `smartshelf` command, plus the virtual environment it lives in.
# Only relative paths, so that a checkout may have spaces in its path. Options: make up ARGS="--without producers"
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
PY := $(VENV)/bin/python
SMARTSHELF := $(VENV)/bin/smartshelf
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
PIP := $(PY) -m pip install -qq --disable-pip-version-check --no-input
# pip says nothing while it fetches and unpacks; the ticker must not hold the output open when make has ended.
TICKING = ( s=0; while sleep 10 >/dev/null 2>&1; do s=$$((s + 10)); echo "  still installing, $$s s"; done ) & \
  ticker=$$!; trap 'kill $$ticker' EXIT
PYTEST := $(PY) -m pytest
ARGS ?=

# For commands that make sense only where something is installed: they install nothing themselves.
if-installed = @if [ -x $(SMARTSHELF) ]; then $(SMARTSHELF) $(1); else \
  echo "The store is not running: nothing is installed here yet. Start it with make up."; fi

.PHONY: help up down reset status logs test test-fast lint contracts audit bench soak data relock chaos clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-11s %s\n", $$1, $$2}'

up: $(RUNTIME) ## Start the store (the first time fetches what it needs) and print what to open
	@$(SMARTSHELF) up $(ARGS)

down: ## Stop the store; the next `make up` goes on where it was
	$(call if-installed,down)

reset: ## Stop the store and delete all it has lived through
	$(call if-installed,reset --yes)

status: ## Every service: state, pid, memory, address; clock and backlog
	$(call if-installed,status $(ARGS))

logs: ## The last lines of all logs (one: make logs ARGS=bridge)
	$(call if-installed,logs $(ARGS))

audit: $(RUNTIME) ## Prove that the books balance
	@$(SMARTSHELF) audit $(ARGS)

bench: $(RUNTIME) ## Measure the running store and print a table
	@$(SMARTSHELF) bench $(ARGS)

soak: $(RUNTIME) ## Days at full speed: does anything grow? (make soak ARGS="--days 30")
	@$(SMARTSHELF) bench soak $(ARGS)

data: $(RUNTIME) ## Generate the store's files (catalogue, stocks, lots, discounts)
	@$(SMARTSHELF) data build $(ARGS)

lint: $(DEV) ## Style, types, layers, stale contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) -m smartshelf.contracts.generate --check

contracts: $(RUNTIME) ## Render everything that follows from the contracts
	@$(PY) -m smartshelf.contracts.generate

test-fast: lint ## Lint, then the tests that need no server
	$(PYTEST) -n auto tests/unit tests/property tests/contracts

test: test-fast ## All tests, cheap ones first; does its own set-up
	$(SMARTSHELF) provision
	$(PYTEST) tests/spark
	$(PYTEST) tests/integration tests/dashboard
	$(PYTEST) tests/e2e

chaos: $(DEV) ## A day with random kills, ending in an exact audit (make chaos KILLS=20 SEED=7)
	$(SMARTSHELF) provision
	KILLS=$(or $(KILLS),10) KILL_SEED=$(SEED) $(PYTEST) -s tests/e2e/test_store_run.py -k "day_of_kills"

relock: $(RUNTIME) ## After a change of conf/ivy.xml: write the hashes of the jars anew
	@$(SMARTSHELF) provision --relock

clean: ## Stop the store and delete everything that can be made again, .venv included
	@if [ -x $(SMARTSHELF) ]; then $(SMARTSHELF) reset --yes; fi
	git clean -dfXq -e '!/.env'

$(PY):
	@set -e; for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then \
	    echo "creating $(VENV) with $$("$$candidate" --version)"; \
	    "$$candidate" -m venv $(VENV) || { rm -rf $(VENV); \
	      echo "Python has no venv module here. Install the package python3-venv and try again." >&2; exit 2; }; \
	    exit 0; \
	  fi; \
	done; \
	echo "No Python 3.11, 3.12 or 3.13 found. Install one, or name it: make up PYTHON=/path/to/python3" >&2; exit 2

# Stamps: installing again happens only after a lock or pyproject.toml has changed.
$(RUNTIME): requirements.lock pyproject.toml | $(PY)
	@echo "installing the locked packages (a few minutes the first time)"
	@$(TICKING); $(PIP) --require-hashes -r requirements.lock || { \
	  echo "Could not install the locked packages: the first start needs the network (see the lines above)." >&2; exit 2; }
	@$(PIP) --no-deps --editable .
	@touch $(RUNTIME)

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "installing the locked packages for tests"
	@$(TICKING); $(PIP) --require-hashes -r requirements-dev.lock || { \
	  echo "Could not install the packages for tests: the first run needs the network (see the lines above)." >&2; exit 2; }
	@touch $(DEV)
