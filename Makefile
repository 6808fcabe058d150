# make demo: see a restoration.  make test: all tests.  make lab: JupyterLab.  make lint: style and types.
# TORCH_INDEX holds the CPU build of torch; plain torch from PyPI pulls gigabytes of CUDA on Linux.
# With a GPU that is what you want: make demo TORCH_INDEX=

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
READY := .venv/ready

.PHONY: demo test lab lint clean

demo: $(READY)
	$(BIN)/zvr demo -o runs/demo

test: $(READY)
	$(BIN)/python -m pytest

lab: $(READY)
	$(BIN)/jupyter lab notebooks

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# torch first and alone, so that everything else comes from PyPI and finds it there
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --no-deps --retries 1 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(shell grep '^torch==' constraints.txt)
	$(PIP) --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv runs
