# The README's two commands are `make demo` and `make test`; each sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench bench-quick crashes model simulate chaos clean

SIMULATED_SEEDS ?= 20000
SEEDS ?= 100

demo: $(VENV)/.demo
	$(BIN)/raybackfill demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Side by side with other engines, in one run; see benchmarks/README.md.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.dev
	$(BIN)/python -m benchmarks --quick

# A crash at every single call of the store, for every shape of job; `make test` tries one in four.
crashes: $(VENV)/.dev
	RAYBACKFILL_CRASHES=all $(BIN)/python -m pytest tests/faults/test_crash.py tests/faults/test_publishes.py

# Every interleaving of small models of the protocol, and the wrong rules they must find out.
model: $(VENV)/.dev
	$(BIN)/python -m tests.model

# The real driver in a world of faults, drawn from seeds, with a clock of its own.
simulate: $(VENV)/.dev
	$(BIN)/python -m tests.simulated --seeds $(SIMULATED_SEEDS)

# Real processes of a real Ray, killed, stopped and cut off.
chaos: $(VENV)/.dev
	$(BIN)/python -m tests.chaos --seeds $(SEEDS)

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "raybackfill needs Python 3.11 or later: make PYTHON=python3.11 ..")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build
