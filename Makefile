# make demo, make test: each sets up what it needs in .venv and works on a fresh machine with python3 (venv)
# and make. Nothing outside this directory is changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types slow clean help

help:
	@echo "make demo    a local farm augments real images: times, and a picture (about two minutes)"
	@echo "make test    the test suite"
	@echo "make lint    ruff        make types   mypy --strict"
	@echo "make slow    tests that take minutes, or need root and network namespaces"

demo: $(READY)
	$(BIN)/augfarm demo --output demo.png

test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# imgaug's wheel demands opencv-python, which needs libGL; the headless one serves fully (extra "worker").
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[worker,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps imgaug==0.4.0
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis demo.png
