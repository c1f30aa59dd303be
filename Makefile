# Everything the book needs, from a fresh clone with Python and make: `make book`, `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_PYTHON ?= $(BIN)/python
STAMP := $(VENV)/.installed
BUILD := $(BIN)/python -m benchpred_book.build
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup book html runs bench bench-gpu lint test pages check lab clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'
	@echo
	@echo "BENCHPRED_DATA=folder  where the score matrices lie (else: the cache, else downloaded)"
	@echo "PYTHON=python3.12      the Python to set up with, 3.11 or newer"

setup: $(STAMP) ## make the environment .venv (the other targets do this by themselves)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and $(PYTHON) is not: try make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up $(VENV) (a few minutes, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[book,test]"
	@touch $@

book: setup ## execute the stale chapters, then build the pages (ARGS=--all: every chapter, compared with the commit)
	@$(BUILD) book $(ARGS)

html: setup ## build the pages from the stored outputs: no data, no network
	@$(BUILD) html

runs: setup ## compute the stale experiments of the stored runs (ARGS="--all protocol": all of one run; over an hour for all)
	@$(BUILD) runs $(ARGS)

bench: setup ## measure CPU time, memory and growth (ARGS="--only fit_2pl" or "--against COMMIT"; see book/bench/README.md)
	@$(BENCH_PYTHON) -m book.bench $(ARGS)

bench-gpu: setup ## the tests and the benchmark on a GPU, in 8 minutes (BENCH_PYTHON: one that has CuPy)
	@$(BENCH_PYTHON) -m book.bench --gpu $(ARGS)

lint: setup ## check the style and the format of the code
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

test: setup ## run the tests, which execute no chapter (ARGS="-k pattern" for some; BENCHPRED_FULL=1: the slow ones too)
	@$(PYTEST) -m "not browser" $(ARGS)

pages: setup ## test the built pages, in a real browser where there is one
	@$(PYTEST) tests/book --ignore tests/book/test_build.py $(ARGS)

check: setup ## execute every chapter anew, compare the numbers with the stored ones, and store nothing
	@$(BUILD) check $(ARGS)

lab: setup ## open the notebooks in JupyterLab, which shows their charts once they are trusted
	@$(BIN)/jupyter trust notebooks/*.ipynb > /dev/null
	@$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks

clean: ## remove what was built (the environment stays; to remove it too: rm -rf .venv)
	rm -rf _build build *.egg-info .pytest_cache .hypothesis .ruff_cache notebooks/.*.partial notebooks/.ipynb_checkpoints
	find . -name __pycache__ -not -path './$(VENV)/*' -exec rm -rf {} +
