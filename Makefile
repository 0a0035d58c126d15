# `make demo` and `make test` do all of their own set-up. A second call finds it done and starts at once.

VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
# Thousands of small databases are made and synced: in memory where the machine has a folder for that.
SCRATCH ?= $(shell test -w /dev/shm && echo /dev/shm || echo "$${TMPDIR:-/tmp}")
# The first Python that is new enough; name another one with `make demo PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Of the long part of the fault suite.
KILLS ?= 300
HOLDS ?= 1000

.PHONY: help demo test test-fault check lint format man clean

help:
	@echo "make demo    sample databases of five companies, their policies dry-run and enforced (in demo-data/)"
	@echo "make test    linters, types and the whole test suite on SQLite, PostgreSQL and MariaDB"
	@echo "make test-fault   the long part of the fault suite: KILLS=300 at random, HOLDS=1000 that race with runs"
	@echo "make check   linters and types alone;  make lint: ruff alone;  make format: ruff writes"
	@echo "make man     man pages into build/man"
	@echo "make clean   removes all that the above made, the virtual environment too"

demo: $(VENV)/.demo-ready
	$(BIN)/retentiond demo --dir demo-data --tour

test: $(VENV)/.test-ready
	.ci/servers
	$(MAKE) --no-print-directory check
	TMPDIR=$(SCRATCH) $(BIN)/python -m pytest -n $(WORKERS)

test-fault: $(VENV)/.test-ready
	.ci/servers
	TMPDIR=$(SCRATCH) $(BIN)/python -m pytest tests/fault --long --kills $(KILLS) --holds $(HOLDS) \
		-n $(WORKERS) --dist worksteal

check: lint
	$(BIN)/mypy
	$(BIN)/lint-imports

lint: $(VENV)/.test-ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.test-ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

man: $(VENV)/.test-ready
	mkdir -p build/man
	$(BIN)/click-man --target build/man retentiond

clean:
	rm -rf $(VENV) demo-data build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find retentiond tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is newer than what it was made from, or pip runs again.
$(VENV)/.demo-ready: $(VENV)/.made pyproject.toml retentiond/__init__.py
	@echo "Installing retentiond and its drivers into $(VENV) …"
	$(PIP) install -e '.[all]'
	@touch $@

$(VENV)/.test-ready: $(VENV)/.made pyproject.toml retentiond/__init__.py
	@echo "Installing retentiond, its drivers and the test tools into $(VENV) …"
	$(PIP) install -e '.[all,dev]'
	@touch $@

# Debian keeps the part of venv that brings pip in a package of its own (python3-venv). Without it, the machine's pip
# puts a pip into the new environment instead.
$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "retentiond needs Python 3.11 or newer, and found none." >&2; exit 2; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		$(PYTHON) -m venv $(VENV); \
	else \
		$(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --quiet --python $(BIN)/python install pip; \
	fi || { echo "No virtual environment could be made with $(PYTHON). On Debian and Ubuntu:" \
		"apt-get install python3-venv" >&2; exit 2; }
	@touch $@
