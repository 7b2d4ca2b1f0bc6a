# `make help` lists the targets. Only Python 3.11 or newer, venv and make are needed; everything else is installed
# into .venv, in the exact versions of constraints.txt. A second call installs nothing.

.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV ?= .venv
BIN := $(VENV)/bin
SHARED ?= $(or $(WEIR_SHARED),../shared)

# The first interpreter that is new enough. `make PYTHON=/path/to/python` names another one.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINS := pyproject.toml constraints.txt

INPUT ?= $(SHARED)/data/handbook/transactions_raw.parquet
FEED ?= handbook
CONFIG ?= benchmarks/handbook
OUT ?= out/replay
ARGS ?=

.PHONY: help setup lint format types test demo cluster-demo bench replay lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.weir-dev  ## create .venv with everything a developer needs

lint: $(VENV)/.weir-dev  ## ruff (rules and format) and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.weir-dev  ## let ruff put the files in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.weir-dev  ## mypy, strict
	$(BIN)/mypy

test: $(VENV)/.weir-dev  ## every test; ARGS="-k word" narrows
	$(BIN)/python -m pytest $(ARGS)

demo: $(VENV)/.weir-run  ## a generated bank through the whole engine, then a report
	$(BIN)/weir demo $(ARGS)

cluster-demo: $(VENV)/.weir-dev  ## Kafka, Redis and two workers on this machine, one of them killed: nothing is lost
	$(BIN)/python -m engine.cluster_demo $(ARGS)

bench: $(VENV)/.weir-bench  ## every benchmark, then RESULTS.md and README.md; ARGS=--smoke is quick, ARGS=rules one
	$(BIN)/python -m benchmarks.results $(ARGS)

replay: $(VENV)/.weir-run  ## replay INPUT=file FEED=name into OUT=folder (shipped: the handbook recording)
	@test -e "$(INPUT)" || { echo "error: no recording at $(INPUT)"; \
		echo "  fix: make replay INPUT=your.ndjson FEED=canonical CONFIG=config/bank"; exit 2; }
	$(BIN)/weir replay "$(INPUT)" --config "$(CONFIG)" --feed $(FEED) --out "$(OUT)" $(ARGS)

lock: $(VENV)/.weir-run  ## resolve every dependency anew and rewrite constraints.txt
	$(BIN)/python -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip --disable-pip-version-check --quiet install --dry-run --ignore-installed \
		--report $(VENV)/lock/report.json -e '.[adapters,kafka,peers,redis,plots,dev]' hatchling editables
	{ sed '/^[^#]/,$$d' constraints.txt; $(BIN)/python -c 'import json, re, sys; \
		found = (r["metadata"] for r in json.load(open(sys.argv[1]))["install"]); \
		pins = {re.sub("[-_.]+", "-", m["name"]).lower(): m["version"] for m in found}; \
		pins.pop("weir-fraud"); \
		print("\n".join(f"{k}=={pins[k]}" for k in sorted(pins)))' $(VENV)/lock/report.json; } > constraints.new
	mv constraints.new constraints.txt
	rm -rf $(VENV)/lock

clean:  ## remove .venv, caches and what runs wrote
	rm -rf $(VENV) dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# hatchling is pinned and installed beforehand, so that building the project asks the network for nothing unpinned.
$(VENV)/.weir-run: $(PINS) | $(BIN)/python
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(VENV) holds $$($(BIN)/python -V 2>&1), Weir needs Python 3.11 or newer"; \
		echo "  fix: rm -rf $(VENV), install Python 3.11 and call make again"; exit 2; }
	@echo "installing the run-time dependencies into $(VENV) ..."
	$(PIP) install --constraint constraints.txt hatchling editables
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable .
	@touch $@

$(VENV)/.weir-dev: $(VENV)/.weir-run
	@echo "installing what tests and checks need into $(VENV) ..."
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

# The peers that models are timed beside.
$(VENV)/.weir-bench: $(VENV)/.weir-dev
	@echo "installing what benchmarks compare with into $(VENV) ..."
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable '.[adapters,peers,plots,dev]'
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found, python3 is: $$(python3 -V 2>&1)"; \
		echo "  why: Weir uses the typing and the speed of 3.11"; \
		echo "  fix: install python3.11, or call make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1), Weir needs Python 3.11 or newer"; \
		echo "  fix: call make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) has no venv module"; \
		echo "  fix: install it, on Debian and Ubuntu with apt-get install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)
