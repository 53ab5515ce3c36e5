# Two commands for a newcomer: `make demo` and `make test`. Both make their own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO := # options of the demo, such as --stay

.PHONY: demo test bytecode clients check lint types imports docs campaign bench bench-dashboard bench-evaluation simulations chromium npm clean

demo: $(VENV)/demo.stamp
	$(BIN)/bandit-router demo $(DEMO)

test: $(VENV)/bytecode.stamp chromium
	$(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 # a hung test ends the run, and says where

bytecode: $(VENV)/bytecode.stamp

CODE := bandit_router benchmarks migrations simulations tests
$(VENV)/bytecode.stamp: $(VENV)/dev.stamp $(shell find $(CODE) -name node_modules -prune -o -name '*.py' -print)
	$(BIN)/python -m compileall -q -x node_modules $(CODE) # once for all processes of tests
	-PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --collect-only >/dev/null # pytest's own, with asserts rewritten
	touch $@

PROGRAMS := tests/clients/programs
clients: $(VENV)/dev.stamp $(VENV)/clients/pip.stamp $(PROGRAMS)/node_modules/.package-lock.json # other people's clients
	$(BIN)/python -m tests.clients --python $(VENV)/clients/bin/python

check: lint types imports docs test

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

imports: $(VENV)/dev.stamp
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp # pages in docs/_build; a warning is an error, and nothing is looked up over the network
	$(BIN)/sphinx-build -W -n -E -q -b html docs docs/_build

bench: $(VENV)/bench.stamp
	$(BIN)/python benchmarks/core.py
	$(BIN)/python benchmarks/http.py
	$(BIN)/python benchmarks/rules.py
	$(BIN)/python -m benchmarks.fold
	$(BIN)/python -m benchmarks.rollups
	$(BIN)/python -m benchmarks.keys
	$(BIN)/python -m benchmarks.tasks
	$(BIN)/python -m benchmarks.gateway

bench-dashboard: $(VENV)/bench.stamp # a million decisions on each database: 6 GiB of disk for some twenty minutes
	$(BIN)/python -m benchmarks.dashboard

bench-evaluation: $(VENV)/dev.stamp # 10 million rows: 6 GiB of disk for some ten minutes
	$(BIN)/python benchmarks/evaluation.py

CAMPAIGN_SECONDS ?= 600
CAMPAIGN_CASES ?= 20000
campaign: $(VENV)/dev.stamp # kills, terminations and full disks on real databases; counts what is lost or doubled
	$(BIN)/python -m tests.durability.campaign --seconds $(CAMPAIGN_SECONDS)
	$(BIN)/python -m tests.server.stateful --cases $(CAMPAIGN_CASES)

simulations: $(VENV)/simulations.stamp
	$(BIN)/python -m simulations.regret
	$(BIN)/python -m simulations.side_by_side
	$(BIN)/python -m simulations.drift
	$(BIN)/python -m simulations.warm_start
	$(BIN)/python -m simulations.hand_written
	$(BIN)/python -m simulations.deadlines
	$(BIN)/python -m simulations.budgets
	$(BIN)/python -m simulations.floors
	$(BIN)/python -m simulations.poisoning
	$(BIN)/python -m simulations.safety

chromium: # the browser that the tests open pages in
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; }

npm:
	@command -v npm >/dev/null || \
	  { apt-get update -qq && apt-get install -qq -y --no-install-recommends nodejs npm >/dev/null; }

$(VENV)/pip.stamp:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --upgrade pip
	touch $@

$(VENV)/demo.stamp: $(VENV)/pip.stamp pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[demo]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/pip.stamp pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable . --group dev
	$(PIP) install --no-deps obp==0.4.1 # the estimators' oracle; what it depends on includes torch, which no test needs
	touch $@

$(VENV)/bench.stamp: $(VENV)/pip.stamp pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[benchmarks]'
	touch $@

$(VENV)/simulations.stamp: $(VENV)/pip.stamp pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[simulations]'
	touch $@

$(VENV)/clients/pip.stamp: $(VENV)/pip.stamp $(PROGRAMS)/requirements.txt
	$(PYTHON) -m venv $(VENV)/clients
	$(VENV)/clients/bin/python -m pip --disable-pip-version-check --quiet install -r $(PROGRAMS)/requirements.txt
	touch $@

$(PROGRAMS)/node_modules/.package-lock.json: $(PROGRAMS)/package-lock.json | npm
	npm ci --prefix $(PROGRAMS) --no-audit --no-fund --silent
	touch $@

clean:
	rm -rf $(VENV) .venv-litellm $(PROGRAMS)/node_modules build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
