# `make demo` shows Nuncius at work; `make test` runs everything that can run here. Both set themselves up.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test check lint types arrows services kafka bench lock clean help

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

demo: $(VENV)/.broker  ## all of Nuncius on this machine, with a simulated night; Ctrl-C ends it
	$(BIN)/nuncius demo

# Three at a time on two cores: half of the time they wait for services.
test: $(VENV)/.dev $(VENV)/tom/.made services check  ## lint, types, arrows, and every test this machine can run
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: lint types arrows

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

arrows: $(VENV)/.dev
	$(BIN)/lint-imports

services:  ## Kafka's JVM, PostgreSQL, Chromium and kcat, where this machine's package manager has them
	@sh infra/services.sh

bench: $(VENV)/.dev  ## the figures of benchmarks/
	$(BIN)/python -m benchmarks

lock: $(VENV)/.dev  ## resolve the dependencies anew, hashes and no addresses
	$(PIP) install --quiet pip-tools
	for set in broker dev; do \
	  extras="--extra broker"; [ $$set = dev ] && extras="--extra broker --extra dev"; \
	  CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate $$extras \
	    --output-file requirements/$$set.lock pyproject.toml; done
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate \
	  --output-file requirements/tom.lock requirements/tom.in
	$(PIP) install --dry-run --ignore-installed --no-deps --quiet --report - -r requirements/catalogs.in \
	  | $(BIN)/python infra/lock_report.py > requirements/catalogs.lock

$(VENV)/.venv-made:
	@test -n "$(PYTHON)" || { echo "Nuncius needs Python 3.11 or newer: install it and run make again"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: run make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Installs in two steps, so that only what was locked is ever fetched.
$(VENV)/.broker: $(VENV)/.venv-made requirements/broker.lock pyproject.toml
	@echo "Installing Nuncius into $(VENV) (a minute or two, once)"
	$(PIP) install --progress-bar=on --quiet --require-hashes -r requirements/broker.lock
	$(PIP) install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.venv-made requirements/dev.lock requirements/catalogs.lock pyproject.toml
	@echo "Installing Nuncius and its test tools into $(VENV) (a few minutes, once)"
	$(PIP) install --progress-bar=on --quiet --require-hashes -r requirements/dev.lock
	$(PIP) install --progress-bar=on --quiet --require-hashes --no-deps -r requirements/catalogs.lock
	$(PIP) install --quiet --no-deps --editable .
	@touch $@ $(VENV)/.broker

# A TOM, for the tests of consumers/tom: an installation of its own, since it asks for other versions than we do.
$(VENV)/tom/.made: requirements/tom.lock | $(VENV)/.dev
	@echo "Installing a TOM for the tests into $(VENV)/tom (a few minutes, once)"
	$(BIN)/python -m venv --clear $(VENV)/tom
	$(VENV)/tom/bin/python -m pip --disable-pip-version-check install --progress-bar=on --quiet --require-hashes -r requirements/tom.lock
	@$(BIN)/python -c "import hashlib; print(hashlib.sha256(open('$<', 'rb').read()).hexdigest(), end='')" > $@

clean:  ## remove what make made
	rm -rf $(VENV) demo-data infra/kafka/target
