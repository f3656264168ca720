# make reproduce   every table and figure, into results/
# make test        what CI runs: all but the long tests
# Both make the environment first. An environment of your own (a GPU server's torch): make reproduce VENV=/path

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := .venv/.made-from-lock
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --no-loadscope-reorder

# An environment that the user names is used as it is.
ifeq ($(origin VENV),file)
ENVIRONMENT := $(STAMP)
endif

.PHONY: reproduce test test-long lint reference gallery environment
.DELETE_ON_ERROR:

reproduce: $(ENVIRONMENT)
	$(BIN)/snakemake --cores all

test: $(ENVIRONMENT)
	$(PYTEST) -m "not long"

# What takes minutes each: kills, damage and full disks, edits with both tools, and real radiographs, where ../shared is there.
test-long: $(ENVIRONMENT)
	$(PYTEST) -m long --verbose

lint: $(ENVIRONMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy

# Pages generated from the code; CI fails when they differ from the committed ones.
reference: $(ENVIRONMENT)
	$(BIN)/python -m fxcore reference

# The default run's tables and figures, committed for people who only read.
gallery: reproduce
	rm -rf docs/gallery
	mkdir -p docs/gallery/tables docs/gallery/figures
	sed '/^\[.* · /d' results/index.md > docs/gallery/index.md
	cp results/tables/*.csv docs/gallery/tables/
	cp results/figures/*.png docs/gallery/figures/

environment: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; name another: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Making .venv from requirements.lock: downloads about 3 GB (PyTorch with CUDA libraries), takes 7 GB of disk and some minutes."
	@echo "An environment that has PyTorch already: make ... VENV=/path"
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
