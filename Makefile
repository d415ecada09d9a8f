# Each target makes what it needs: on a fresh machine `make up` or `make test` is the one command.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help up test check fix bench fuzz fuzz-api chaos reliability cli-docs pictures lock clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

up: $(VENV)/.run  ## run everything on this machine (options through ARGS="--for 30s"); Ctrl-C stops it
	@$(BIN)/ssmd up $(ARGS)

test: $(VENV)/.dev  ## run the tests, a file at a time on each core (options through ARGS="-k bus")
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(VENV)/.dev  ## format, lint and types
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy

fix: $(VENV)/.dev  ## put format and the fixable lint right
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

bench: $(VENV)/.run  ## measure this machine beside a plain pipeline (ARGS="--json FILE")
	@$(BIN)/python benchmarks/pipeline.py $(ARGS)
	@$(BIN)/python benchmarks/history.py

fuzz: $(VENV)/.dev  ## coverage-guided fuzzing of frames and segments (ARGS="-max_total_time=60")
	$(PIP) "atheris>=3"
	cd tests && ../$(BIN)/python -m fuzz $(ARGS)

fuzz-api: $(VENV)/.dev  ## every endpoint of the API, by its OpenAPI document (SSMD_TEST_EXAMPLES=300)
	SSMD_TEST_EXAMPLES=$${SSMD_TEST_EXAMPLES:-300} $(BIN)/python -m pytest -s tests/serve/test_schemathesis.py

chaos: $(VENV)/.dev  ## 201 kills of connector, NATS and archiver; 1,000 reconnects of each exchange; NATS away for 5 minutes
	SSMD_TEST_KILLS=67 $(BIN)/python -m pytest tests/e2e/test_generated.py -k kill_9
	SSMD_TEST_OUTAGE_S=300 $(BIN)/python -m pytest -s tests/e2e/test_outage.py
	SSMD_TEST_RECONNECTS=1000 $(BIN)/python -m pytest tests/faults/test_reconnects.py

reliability: $(VENV)/.dev  ## every fault at every exchange; writes docs/reliability.md
	rm -f .faults.jsonl
	SSMD_FAULT_RESULTS=.faults.jsonl $(BIN)/python -m pytest tests/faults/test_matrix.py tests/faults/test_rest.py
	PYTHONPATH=tests $(BIN)/python -m faults.report .faults.jsonl docs/reliability.md

cli-docs: $(VENV)/.dev  ## docs/cli.md, from the commands themselves
	$(BIN)/python tests/cli_docs.py > docs/cli.md

pictures: $(VENV)/.dev  ## docs/pictures, of the page over simulated exchanges (needs Chromium; ARGS=NAME for some)
	$(BIN)/python tests/pictures.py $(ARGS)

lock:  ## pin the dependencies again (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --custom-compile-command 'make lock' --extra build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --custom-compile-command 'make lock' --extra build --extra dev pyproject.toml -c requirements.lock -o requirements-dev.lock

clean:  ## remove what make made; data/ stays
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Error: ssmd needs Python 3.11 or newer; this is " + sys.version.split()[0] + "\nTry: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python requirements.lock pyproject.toml
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@
