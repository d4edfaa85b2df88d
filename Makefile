# make setup | demo | test | lint | bench | help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCK   := requirements/lock.txt
# The stamp's name holds a checksum of the lock file: another lock file, another set-up.
STAMP  := $(VENV)/setup-$(shell cksum < $(LOCK) | cut -d' ' -f1)

.PHONY: help setup demo test lint bench
.DEFAULT_GOAL := help

help:
	@echo "make setup  create .venv with the pinned packages of $(LOCK) (done by all others)"
	@echo "make demo   reconstruct the demo knees, pictures and tables into demo-output/"
	@echo "make test   lint, then every test"
	@echo "make lint   style and common mistakes (ruff)"
	@echo "make bench  speed and memory, as ratios measured side by side"

setup: $(STAMP)

$(STAMP):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON). Install Python 3.11 or newer, or: make PYTHON=/path/to/python"; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9))' || { \
	  echo "$(PYTHON) is older than 3.9. Install Python 3.11 or newer, or: make PYTHON=/path/to/python"; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "SSRKDLib runs with this $(PYTHON), but the pinned packages need Python 3.11 or newer:"; \
	  echo "make PYTHON=/path/to/python, or install without pins: pip install -e '.[training,test]'"; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments. Install its venv package (Debian: python3-venv)."; \
	  exit 1; }
	@echo "setup: installing the packages of $(LOCK) into $(VENV) (once; torch is large)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation -e .
	@rm -f $(VENV)/setup-*
	@touch $@

demo: setup
	@echo "demo: reconstructing the demo knees into demo-output/"
	@$(BIN)/python -m SSRKDLib demo

test: lint
	@echo "test: running every test"
	@$(BIN)/python -m pytest -q

lint: setup
	@echo "lint: checking style with ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "Run: $(BIN)/ruff format ."; exit 1; }

bench: setup
	@echo "bench: measuring speed and memory"
	@$(BIN)/python -m Testing.benchmark
