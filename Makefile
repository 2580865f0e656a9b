PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
READY := $(VENV)/.ready
RIVALS := $(VENV)/.rivals

.PHONY: setup demo test test-15 check snapshot bench bench-growth bench-publish clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(STAMP)

# The demo needs no tools for development: a bare installation is there in half the time.
demo: $(READY)
	@$(BIN)/digitwin demo

$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test $(STAMP) -nt pyproject.toml \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	@touch $(READY)

# Up to four processes, each with a server template of its own
PYTEST_ARGS ?= -n auto --maxprocesses 4

test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# The same on a throw-away server of Debian's PostgreSQL 15, where it is installed
test-15: $(STAMP)
	$(BIN)/python -m tests.on_debian_15 $(PYTEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# After a change of the schema: review the difference, then commit it with the migration.
snapshot: $(STAMP)
	$(BIN)/python -m tests.migrations.catalog

# Beside what one would take instead; benchmarks/README.md says how to measure a part
bench: $(RIVALS)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

# The published figures, on a quiet machine: results, the README's table and the pictures
bench-publish: $(RIVALS)
	@$(BIN)/python -m benchmarks --keep
	@$(BIN)/python -m benchmarks.growth

# From ten thousand rows to three million; BENCH_ARGS="--ten-million" goes on
bench-growth: $(RIVALS)
	@$(BIN)/python -m benchmarks.growth $(BENCH_ARGS)

$(RIVALS): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $(RIVALS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
