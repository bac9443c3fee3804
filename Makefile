# Everything a fresh machine with Python and make needs: `make demo`, `make test`.
PYTHON ?= python3
# Radar files, for `make weights` and `make bench`.
DATA ?= ../shared/data
# Options of `make bench`, such as `--only stages`.
BENCH ?=
# Of the steps of each training of `make weights`.
PERCENT ?= 100
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_ALL := $(VENV)/.installed-all
INSTALLED_DEV := $(VENV)/.installed-dev

.PHONY: demo test check format docs weights bench clean

demo: $(INSTALLED)  ## Forecast a simulated storm with the shipped weights.
	$(BIN)/ssldm demo --out demo

test: check  ## Format, lint, types, import arrows, docs, tests.
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --dist loadfile

check: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

format: $(INSTALLED_DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

weights: $(INSTALLED_ALL)  ## Train the shipped weights from radar files; goes on where it was stopped.
	PATH="$(CURDIR)/$(BIN):$$PATH" experiments/small.sh $(DATA) runs $(PERCENT)

bench: $(INSTALLED_ALL)  ## What a forecast costs on this machine, beside STEPS: runs/bench/bench.md and bench.json.
	$(BIN)/python experiments/bench.py --data $(DATA) $(BENCH)

docs: $(INSTALLED_DEV)
	$(BIN)/mkdocs serve

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(INSTALLED_ALL): $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[all]"
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build demo
