# Everything that a developer or a newcomer runs. `make` alone says what there is; each target sets up what it needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TORCH  ?= $(shell grep '^torch==' constraints.txt)#  the pinned build; with CUDA: make setup TORCH=torch
WORKERS ?= auto#  test processes; each keeps to one thread, which is the fastest use of few cores

# Data sets, where they lie beside the checkout (several folders, like PATH); else the user's cache, else downloaded.
ifneq ($(wildcard ../shared/data),)
export MORPHOGEN_DATA ?= $(abspath ../shared/data)
endif

PIP  = $(BIN)/python -m pip --disable-pip-version-check
QUICK ?= not sampled#  pytest -k, for `make quick QUICK=vae`
TEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo quick test test-isa dist constraints check fix bench mutants docs pictures nightly release-tests clean

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(VENV)/.dev $(VENV)/.docs  ## make .venv with everything a developer needs (make setup TORCH=torch for CUDA)
	@echo "ready: $(BIN)/morphogen --help"

demo: $(VENV)/.core  ## install, train on the embedded digits, show what one model does (under two minutes of compute)
	@$(BIN)/python examples/demo.py

test: $(VENV)/.dev  ## install what the tests need, run them all (nightly and release tests aside)
	$(TEST)

quick: $(VENV)/.dev  ## a first signal in a minute: shape, words of the command line, the rules of every registered part
	$(TEST) tests/test_shape.py tests/test_usage.py tests/test_contract.py -k "$(QUICK)"

test-isa: $(VENV)/.dev  ## what depends on rounding, limited to other instruction sets (ISA=quick: what CI runs)
	OMP_NUM_THREADS=1 $(BIN)/python tests/isa.py $(ISA)

check: $(VENV)/.dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(VENV)/.dev  ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## measure against the incumbent, interleaved on this machine, and print the tables
	bash bench/setup_peer.sh
	$(BIN)/python bench/run.py
	$(BIN)/python bench/run.py codecs $(if $(RUNS),--runs $(RUNS))#  make bench RUNS=mnist=runs/a,cifar10=runs/b

mutants: $(VENV)/.dev  ## plant bugs one by one, and count how many the tests catch
	$(BIN)/python tests/mutants/plant.py

docs: $(VENV)/.docs  ## build the guide into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pictures: $(VENV)/.dev  ## run the commands of the guide, and put their pictures and outputs in place
	$(BIN)/python docs/make_pictures.py $(PAGES)

nightly: $(VENV)/.dev  ## the tests that take minutes each
	$(TEST) -m nightly --timeout 3600

release-tests: $(VENV)/.dev  ## the tests that take hours
	$(TEST) -m release --timeout 36000

dist: $(VENV)/.release  ## build the wheel and the sdist, the same bytes each time
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --outdir dist

constraints: $(VENV)/.dev $(VENV)/.docs  ## write constraints.txt anew, with a hash for each file of each version
	$(BIN)/python .ci/constraints.py

clean:  ## remove what was made, except runs/ and .venv
	rm -rf site dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests bench docs examples -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up, in layers, each with a stamp: what is there already costs nothing. torch comes first and alone, so that the
# build at hand (CPU or CUDA) is kept, and the rest cannot pull in another. LOCKED takes only files whose hash is known;
# what a system needs beyond that list is installed after it, by the constraints.
LOCKED = cd .ci/locked && $(abspath $(BIN))/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r
$(VENV)/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet "$(strip $(TORCH))"
	grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
	@touch $@

$(VENV)/.core: $(VENV)/.torch pyproject.toml
	$(LOCKED) core.txt
	$(PIP) install --quiet -c $(VENV)/constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(LOCKED) dev.txt
	$(PIP) install --quiet -c $(VENV)/constraints.txt -e ".[dev,track]"
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	$(LOCKED) docs.txt
	$(PIP) install --quiet -c $(VENV)/constraints.txt -e ".[docs]"
	@touch $@

$(VENV)/.release: $(VENV)/.core
	$(PIP) install --quiet -c $(VENV)/constraints.txt -e ".[release]"
	@touch $@
