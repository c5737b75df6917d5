# Two commands do everything on a fresh machine: `make demo` and `make test`.
# They need make, git and Python >= 3.11; uv is used when it is there.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ROOMS := kernel storage preparation execution loading features models checks sources alerts scenarios reports operations demo
BENCHES := loading storage steps preparation alerts execution execution_cluster forecasts cleanup scenarios
UV := $(shell command -v uv 2>/dev/null)

# dagster.yaml lies in the root; what Dagster writes goes under var/, see there.
export DAGSTER_HOME := $(CURDIR)
export ML_PLATFORM_HOME ?= $(CURDIR)/var
# Files from which the demand project is fed, instead of the made-up sample.
DATA ?=
ARGS ?=

.PHONY: help install demo dev test check docs lock clean $(ROOMS:%=test-%) bench $(BENCHES:%=bench-%)

help: ## What can be made
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## The environment, from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed, this is " + sys.version.split()[0] + "; say which with PYTHON=")'
ifneq ($(UV),)
	@test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV)
	uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing about 200 packages into $(VENV); this happens once"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $@

demo: $(STAMP) ## The demand project, from two source systems to a forecast (DATA=file.csv for yours)
	$(BIN)/ml-platform demo $(if $(DATA),--data $(DATA)) $(ARGS)

dev: $(STAMP) ## The Dagster UI with the MLflow UI and the demand project's source systems beside it
	$(BIN)/ml-platform dev $(if $(DATA),--data $(DATA)) $(ARGS)

test: $(STAMP) ## The whole test suite, a file at a time on each of two workers
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

$(ROOMS:%=test-%): test-%: $(STAMP)
	$(BIN)/pytest ml_platform_tests/$* $(ARGS)

check: $(STAMP) ## Format, lint, types, import contracts, declarations, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/ml-platform check
	$(BIN)/pytest -q ml_platform_tests/test_house_rules.py

bench: $(BENCHES:%=bench-%) ## All benchmarks, one after the other

$(BENCHES:%=bench-%): bench-%: $(STAMP)
	PYTHONPATH=benchmarks $(BIN)/python -m $* $(ARGS)

lock: ## Pin what pyproject.toml asks for, with hashes and without addresses (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --group dev \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.lock

clean: ## Remove what was made: the environment, var/ and caches
	rm -rf $(VENV) var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
