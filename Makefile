# Every target works in a fresh clone: it makes .venv, installs what it needs and does its work.
#   make demo            simulate 64 lenses with the shipped configuration and draw them
#   make test            run the tests
#   make test-all        run them all, those too that take longest
#   make lint docs       check the style and the types; build the documentation
#   make bench           time lensax beside other lensing codes (builds their environments, minutes)
#   make bench-inversion time and differentiate pixelized sources, beside PyAutoLens where make bench has installed it
#   make test-peers      test the bridges to other codes beside these codes (Python 3.12 or newer)
# Options: PYTHON=python3.12 chooses the interpreter of a new .venv, WORKERS=4 the test processes.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?=
# Some tests wait for processes or clocks: more workers than cores.
WORKERS ?= 3
DEMO ?= output/demo
# One thread for each test process: JAX and BLAS would otherwise start one per core in every process.
ONE_THREAD := NPROC=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: demo pictures test test-all test-peers lint format docs bench bench-inversion clean

demo: $(VENV)/.installed
	$(BIN)/lensax simulate configs/cdm_hst.yaml --count 64 --seed 1 --out $(DEMO)
	@echo "The images and their parameters are in $(DEMO); pictures to look at:"
	@find $(DEMO) -name '*.png' | sort | sed 's/^/  /'

# The picture of the README and of the documentation's first page, and those of the page on populations.
pictures: demo
	cp $(DEMO)/montage.png docs/images/demo.png
	$(BIN)/lensax preview configs/cdm_hst.yaml --out docs/images/preview.png

test: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

test-all: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "extended or not extended"

# The bridges beside the real lenstronomy and PyAutoLens; PEER_PYTHON names a Python of 3.12 or newer.
test-peers: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/environments.py tests
	$(ONE_THREAD) .venv-peers/tests/bin/python -m pytest -q tests/interop

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/environments.py
	$(BIN)/python benchmarks/kernel.py
	$(BIN)/python benchmarks/readers.py
	$(BIN)/python benchmarks/raytrace.py
	$(BIN)/python benchmarks/images.py
	$(BIN)/python benchmarks/devices.py
	$(BIN)/python benchmarks/populations.py

bench-inversion: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/inversion.py
	$(BIN)/python benchmarks/inversion_gradients.py

clean:
	rm -rf site build dist output .pytest_cache .mypy_cache .ruff_cache .hypothesis $(VENV)/.installed $(VENV)/.installed-dev

# uv takes seconds where pip takes minutes; pip does it where there is no uv for this machine.
install = $(BIN)/python -m pip install --quiet uv && $(BIN)/uv pip install --quiet --python $(BIN)/python -e '$(1)' || \
	$(BIN)/python -m pip install --quiet -e '$(1)'

# A given PYTHON must fit; otherwise the first interpreter on PATH that does.
$(BIN)/python:
	@for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "making $(VENV) with $$("$$candidate" --version)"; \
	        "$$candidate" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; \
	        exit 0; \
	    fi; \
	done; \
	echo "lensax needs Python 3.11 or newer; tried: $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python). Name one with make PYTHON=/path/to/python" >&2; \
	exit 1

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(call install,.)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(call install,.[dev])
	@touch $@ $(VENV)/.installed
