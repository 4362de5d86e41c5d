# make demo and make test are all a newcomer needs: each makes its own .venv from the lock.
# Needs Python 3.11 or newer and make; another interpreter is chosen by `make PYTHON=…`.

PYTHON := $(shell for one in python3.11 python3.12 python3.13 python3; do \
	if command -v $$one >/dev/null 2>&1 && $$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$one; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# What was compiled once is used by every process that the tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test soak lint bench docs lock clean help

help:
	@echo "make demo    a first sync with a local sandbox and the way back, with a report (CRM=salesforce, dynamics or oracle_on_demand)"
	@echo "make test    the whole test suite, on SQLite and PostgreSQL"
	@echo "make soak    the tests without bounds: every crash point, 10,000 examples of the state machine (takes hours)"
	@echo "make lint    ruff, mypy, import-linter, codespell"
	@echo "make bench   rows per second and peak memory (takes long)"
	@echo "make docs    the tables of keys in the documentation anew"
	@echo "make lock    the two requirements files anew, by uv"

$(STAMP): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Crosstie needs Python 3.11 or newer; none was found on the PATH." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(STAMP)
	$(BIN)/python demo/demo.py $(CRM)

test: $(STAMP)
	$(BIN)/pytest -n 3 --dist worksteal

soak: $(STAMP)
	CROSSTIE_SOAK=1 $(BIN)/pytest -n 2

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

bench: $(STAMP)
	$(BIN)/python -m bench

docs: $(STAMP)
	$(BIN)/python -m tests.documentation

lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --output-file requirements.lock
	uv pip compile pyproject.toml --group dev --group build --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) demo-project
