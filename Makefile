# make demo: see a restoration.  make test: all tests, notebooks too.  make lab: JupyterLab.  make lint: style and types.
# make notebooks: executes the notebooks anew, in place, as they are committed (or some: make notebooks NOTEBOOKS=notebooks/01*.ipynb).
# TORCH_INDEX holds the CPU build of torch; plain torch from PyPI pulls gigabytes of CUDA on Linux.
# With a GPU that is what you want: make demo TORCH_INDEX=

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
READY := .venv/ready
NOTEBOOKS ?= $(wildcard notebooks/*.ipynb)
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout 300 --nbval-sanitize-with tests/nbval_sanitize.cfg

.PHONY: demo test lab notebooks lint clean

demo: $(READY)
	$(BIN)/zvr demo -o runs/demo

# one thread: two busy ones are often slower; every notebook cell must print what is stored in it
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests notebooks $(NBVAL)

lab: $(READY)
	$(BIN)/jupyter lab notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

notebooks: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/refresh_notebooks.py $(NOTEBOOKS)

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
