# Every target sets up what it needs in .venv; a fresh machine has Python 3.11+, pip, make and git.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
export PYTHONDONTWRITEBYTECODE ?= 1

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(STAMP) ## run campaigns end to end under faults and check the books (ARGS="--contacts 50 --json")
	@$(BIN)/outreach demo $(ARGS)

test: $(STAMP) ## every test that runs on this machine in minutes
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not e2e and not browser" $(ARGS)

model: $(STAMP) ## the long model run: 100,000 steps, a table of what they did, and whether it was enough
	@$(BIN)/python -m tests.model $(ARGS)

faults: $(STAMP) ## the demo with one guard after another switched off: its verdict names each
	@$(BIN)/python -m pytest -q -m slow $(ARGS)

browser: $(STAMP) ## the admin pages in a headless Chromium (Debian's); pictures to OUTREACH_TEST_SCREENSHOTS
	@$(BIN)/python -m pytest -q -m browser tests/browser $(ARGS)

check: $(STAMP) ## format, lint, types, imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(STAMP) ## format and lint what can be mended by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) ## the engine table, with BullMQ in the same run where Node is present
	@$(BIN)/python -m benchmarks $(ARGS)

bench-pages: $(STAMP) ## what the pages and a scrape cost at a million jobs, and what a running queue notices of it
	@$(BIN)/python -m benchmarks.pages $(ARGS)

floods: $(STAMP) ## how late a contact is behind 200,000 sends of another tenant; fails past 5 s
	@$(BIN)/python -m benchmarks.floods

lock: $(VENV)/bin/uv ## compile requirements/*.txt anew
	@sh requirements/compile.sh

$(VENV)/bin/uv: requirements/uv.txt
	@$(PYTHON) requirements/environment.py $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt

$(STAMP): $(VENV)/bin/uv requirements/dev.txt pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

.PHONY: help demo test browser model faults check fix bench bench-pages floods lock
