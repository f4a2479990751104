# Deskbook: `make run` starts a desk on this machine, `make test` tries all of it. Everything is installed into .venv and nowhere else;
# all it needs is Python 3.11, 3.12 or 3.13 with its venv module.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.ready
DEV_READY := $(VENV)/.ready-dev
# Tests run beside each other, two for each processor, because many of them wait for a program or a page; those of one group stay together,
# in one process.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(2 * (os.cpu_count() or 1))")
TESTS ?=
FAULTS ?=

.DEFAULT_GOAL := help
.PHONY: help run test lint faults bench simulate soak screenshot requirements clean

help:
	@echo "make run           start the desk on this machine: http://127.0.0.1:$${PORT:-8000}"
	@echo "make test          run the tests (TESTS=path narrows them, DESKBOOK_REQUIRE=all lets none be skipped)"
	@echo "make lint          check the style of the code"
	@echo "make faults        kill, freeze and starve real processes, and print what became of the orders (FAULTS='--rows A6,D1b')"
	@echo "make bench         measure it"
	@echo "make simulate      live through SEEDS=200 days with faults and judge each (SEED=7 tells one of them as a story)"
	@echo "make soak          keep a desk busy for HOURS=24 and see whether memory, files or threads grow"
	@echo "make screenshot    take the pictures of the README anew"
	@echo "make requirements  compile requirements*.txt from pyproject.toml"
	@echo "make clean         remove .venv and what the tools left; the data folder stays"

run: $(RUN_READY)
	@exec $(BIN)/python manage.py serve

test: $(DEV_READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --timeout 300 $(TESTS)

lint: $(DEV_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

faults: $(DEV_READY)
	$(BIN)/python -m oms_site.faults $(FAULTS)

bench: $(DEV_READY)
	$(BIN)/python -m oms_site.bench

simulate: $(DEV_READY)
	$(BIN)/python -m oms_site.simulation $(if $(SEED),--seed $(SEED) --trace,--seeds $(or $(SEEDS),200) --first $(or $(FIRST),1))

soak: $(DEV_READY)
	$(BIN)/python -m oms_site.soak --hours $(or $(HOURS),24)

screenshot: $(DEV_READY)
	$(BIN)/python -m oms_site.screenshot

requirements: $(DEV_READY)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
		--upgrade --python-version 3.11 pyproject.toml --output-file requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --constraint requirements.txt --group dev pyproject.toml --output-file requirements-dev.txt

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

# --- The environment, made once and again only when the requirements change -----------------------------------------------------------

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "Deskbook needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is not here."; \
		echo "Install one (on Debian or Ubuntu: apt-get install python3 python3-venv), or name yours: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "Deskbook needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
		echo "Name another one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment: its venv module is not installed."; \
		echo "On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) -V) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	@touch $@

$(RUN_READY): requirements.txt $(BIN)/uv
	@echo "Installing what the desk needs ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt
	@touch $@

$(DEV_READY): requirements-dev.txt $(BIN)/uv
	@echo "Installing what the desk and its tests need ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.txt
	@touch $@ $(RUN_READY)
