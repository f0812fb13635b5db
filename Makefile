# make demo, make test: each sets up what it needs in .venv and works on a fresh machine with python3 (venv)
# and make. Nothing outside this directory is changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Three processes share the tests: many wait. Each file of those that need no minutes stays in one process, since
# some files begin with what takes as long as their tests.
PYTEST := $(BIN)/python -m pytest --numprocesses 3

.PHONY: demo test lint types slow compose-test test-matrix bench clean help

help:
	@echo "make demo    a local farm augments real images: times, and a picture (a minute or two)"
	@echo "make test    the test suite"
	@echo "make lint    ruff        make types   mypy --strict"
	@echo "make slow    tests that take minutes, or need root and network namespaces"
	@echo "make compose-test    of those: the images and docker-compose.yml, with a container engine"
	@echo "make bench   augfarm beside others: speed, CPU, memory, links; writes docs/performance.md (12 minutes)"
	@echo "make test-matrix    other Pythons, numpy 1, the fork imaug, OpenCV 5 (a quarter of an hour)"

demo: $(READY)
	$(BIN)/augfarm demo --output demo.png

test: $(READY)
	$(PYTEST) --dist loadfile -m "not slow"

# Without atheris, which has no wheels on some machines, tests/fuzz says so and skips.
slow: $(READY) compose-test
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary atheris --editable '.[fuzz]'
	$(PYTEST) --dist worksteal -m "slow and not compose"

# Needs docker with compose, or root and a script that starts one: $AUGFARM_ENGINE_UP, or engine-up in
# ../shared/tools. Without either its tests are skipped. One test at a time, since they share one farm.
compose-test: $(READY)
	$(BIN)/python -m pytest -m compose tests/compose

# Makes environments of its own under .venvs, and writes its table into docs/compatibility.md.
test-matrix:
	$(PYTHON) tests/matrix/run.py

# torch and ray are measured where they are installed; links need Linux, root and slowlink.py (bench/README.md).
bench: $(READY)
	$(BIN)/python -c "import matplotlib" 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python bench/throughput.py
	$(BIN)/python bench/core_scale.py
	$(BIN)/python bench/wire.py
	$(BIN)/python bench/client_costs.py
	$(BIN)/python bench/report.py

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
	rm -rf $(VENV) .venvs .pytest_cache .mypy_cache .ruff_cache .hypothesis demo.png
