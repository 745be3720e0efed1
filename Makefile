# Each target does all of its own set-up, and does it once. PYTHON=python3.12 make demo picks an interpreter.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
PINS   := .ci/constraints.txt

.PHONY: demo test test-fast quality format clean

demo: $(VENV)/.core  ## refine pages and package descriptions, draw the reports; INPUT=file|folder|hf://... for your own
	$(BIN)/python recipes/quickstart/run.py $(if $(INPUT),--input "$(INPUT)")

test: $(VENV)/.dev  ## all tests, slow ones too
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(ARGS)

test-fast: $(VENV)/.dev
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" $(ARGS)

quality: $(VENV)/.dev  ## lint, format check, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo-output .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("hf-curation needs Python >= 3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# What the demo needs: no torch, no transformers; under a minute.
$(VENV)/.core: $(BIN)/python pyproject.toml $(PINS)
	$(PIP) install --quiet --constraint $(PINS) --editable '.[report]'
	touch $@

# torch by itself first, and pinned: asked for by another package, pip would bring gigabytes of CUDA.
$(VENV)/.dev: $(BIN)/python pyproject.toml $(PINS)
	$(PIP) install --quiet $$(grep '^torch==' $(PINS))
	$(PIP) install --quiet --constraint $(PINS) --editable '.[dev]'
	touch $@ $(VENV)/.core
