# make setup | demo | test | lint | bench | gpu-check | pictures | first-run | address | index
# make fuzz | coverage | audit | sbom | lock | help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := -m pip install --quiet --disable-pip-version-check
# What is imported is compiled once and kept, also where the environment says otherwise: the tests
# begin some hundreds of processes, each of which would compile PyTorch, VTK and this library anew.
export PYTHONDONTWRITEBYTECODE =
# Nothing but the files whose hashes are in requirements/, and no package that is built here. pip
# would compile all 12,500 files of them, one after the other.
PINNED := $(PIP) --require-hashes --no-deps --only-binary :all: --no-compile
LOCK   := requirements/user.txt requirements/training.txt requirements/test.txt
# The stamp's name holds a checksum of the lock files: others, and the set-up is done anew.
STAMP  := $(VENV)/setup-$(shell cat $(LOCK) requirements/torch*.txt | cksum | cut -d' ' -f1)
STABLE := .slicer-5.12
STABLED := $(STABLE)/setup-$(shell cksum < requirements/slicer-5.12.txt | cut -d' ' -f1)
TOOLS  := .venv-tools
TOOLED := $(TOOLS)/setup-$(shell cksum < requirements/tools.txt | cut -d' ' -f1)

.PHONY: help python system setup demo test test-stable lint fuzz coverage audit sbom lock bench gpu-check
.PHONY: pictures first-run address index
.DEFAULT_GOAL := help

help:
	@echo "make setup  create .venv with the pinned packages of requirements/ (done by all others)"
	@echo "make demo   reconstruct the demo knees, pictures and tables into demo-output/"
	@echo "make test   lint, then every test"
	@echo "make test-stable  the module's tests with slicer-core 5.12 (Linux, Python 3.11)"
	@echo "make lint   style and common mistakes (ruff)"
	@echo "make fuzz SECONDS=600 SEED=n  damaged files through every reader"
	@echo "make coverage  every test, then the lines of SSRKDLib and SSRKD that none runs, and why"
	@echo "make audit ADVISORIES=folder  known vulnerabilities of the pinned packages"
	@echo "make sbom   a list of what is installed, sbom.json (CycloneDX)"
	@echo "make lock   requirements/*.txt anew (LOCKING=--upgrade takes the newest versions)"
	@echo "make bench  speed and memory, as ratios measured side by side"
	@echo "make gpu-check  what needs a GPU, TIGRE or PyTorch3D: a line for each, passed or why not"
	@echo "make pictures  the README's pictures, into Docs/pictures/"
	@echo "make first-run REPORT=report.json  a page of what Testing/slicer/run_in_slicer.py found"

setup: $(STAMP)

python:
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

# Looked at first, in a second: what tests need of the system, before anything large is installed.
system: | python
	@$(PYTHON) -m Testing.system_packages

# No package is in two of the files, so what tests need is installed beside the rest: pip has one
# process only. Likewise what nearly every test imports is compiled: three processes of tests that
# begin at once would each compile all of it.
$(STAMP): | python
	@echo "setup: installing the packages of requirements/ into $(VENV) (once; torch is large)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PINNED) -r requirements/test.txt & beside=$$!; \
	  { $(BIN)/python $(PINNED) -r requirements/torch-cpu.txt 2>$(VENV)/torch-cpu.log || { \
	  echo "setup: no PyTorch for the CPU alone was found ($(VENV)/torch-cpu.log says why); taking"; \
	  echo "the package index's build, on Linux with CUDA"; \
	  $(BIN)/python $(PINNED) -r requirements/torch.txt; }; } && \
	  $(BIN)/python $(PINNED) -r requirements/user.txt -r requirements/training.txt; code=$$?; \
	  wait $$beside && test $$code = 0 && \
	  $(BIN)/python $(PIP) --no-deps --no-build-isolation -e . || { \
	  echo "setup: pip could not install everything, and its last words are above. This step, and"; \
	  echo "no later one, needs the internet (or a package index that pip is configured for)."; \
	  exit 1; }
	@for names in "SSRKDLib.training.command" "slicer, pydicom, SimpleITK, trimesh, matplotlib.figure"; do \
	  $(BIN)/python -c "import $$names" 2>/dev/null & done; wait
	@rm -f $(VENV)/setup-*
	@touch $@

demo: setup
	@echo "demo: reconstructing the demo knees into demo-output/"
	@$(BIN)/python -m SSRKDLib demo

test: system lint
	@echo "test: running every test"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --max-worker-restart=0 --durations=30 --durations-min=3

$(STABLED): | setup
	@rm -rf $(STABLE) && $(BIN)/python $(PINNED) --target $(STABLE) -r requirements/slicer-5.12.txt
	@touch $@

# The module's room alone, since nothing else knows of Slicer.
test-stable: system setup $(STABLED)
	@echo "test-stable: running the module's tests with Slicer 5.12"
	@OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)/$(STABLE)" $(BIN)/python -m pytest -q Testing/module

lint: setup
	@echo "lint: checking style with ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "Run: $(BIN)/ruff format ."; exit 1; }

fuzz: setup
	@echo "fuzz: damaged files through every reader"
	@$(BIN)/python -m Testing.fuzz --seconds $(or $(SECONDS),60) --seed $(or $(SEED),0)

coverage: setup
	@echo "coverage: every test, and the lines that none of them runs (half an hour)"
	@$(BIN)/python -m coverage erase
	@OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest -q -n auto --max-worker-restart=0 --durations=30 --durations-min=3
	@$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m Testing.unrun

audit: setup
	@test -n "$(ADVISORIES)" || { \
	  echo "Name the database: git clone --depth 1 https://github.com/pypa/advisory-database, then"; \
	  echo "make audit ADVISORIES=advisory-database"; \
	  exit 2; }
	@$(BIN)/python -m Testing.audit "$(ADVISORIES)"

$(TOOLED): | python
	@test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python $(PINNED) -r requirements/tools.txt
	@rm -f $(TOOLS)/setup-*
	@touch $@

sbom: setup $(TOOLED)
	@$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --output-file sbom.json $(BIN)/python
	@echo "sbom: sbom.json lists what $(VENV) holds"

lock: setup $(TOOLED)
	@$(BIN)/python -m Testing.lock --uv $(TOOLS)/bin/uv $(LOCKING)

bench: setup
	@echo "bench: measuring speed and memory"
	@$(BIN)/python -m Testing.benchmark
	@echo "bench: reading good files, beside the last version that gave them to libraries unchecked"
	@$(BIN)/python -m Testing.reading_cost f1d4f4a

gpu-check: setup
	@echo "gpu-check: package, version, test"
	@$(BIN)/python -m Testing.gpu

pictures: setup
	@echo "pictures: clicking through the module and drawing it"
	@$(BIN)/python -m Testing.module.pictures
	@echo "pictures: reconstructing the demo knees and drawing them"
	@$(BIN)/python -m Testing.figures.readme_pictures

first-run: | python
	@test -n "$(REPORT)" || { \
	  echo "Name the report: make first-run REPORT=report.json (Docs/first-run.md says how to get one)"; \
	  exit 2; }
	@$(PYTHON) -m Testing.slicer.page "$(REPORT)"

address: | python
	@$(PYTHON) -m Testing.address $(URL)

index: | python
	@$(PYTHON) -m Testing.index
