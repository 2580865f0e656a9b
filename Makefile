PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
READY := $(VENV)/.ready

.PHONY: setup demo test check snapshot clean

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

test: $(STAMP)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# After a change of the schema: review the difference, then commit it with the migration.
snapshot: $(STAMP)
	$(BIN)/python -m tests.migrations.catalog

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
