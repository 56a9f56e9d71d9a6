PYTHON ?= python3
BIN = .venv/bin

help:                ## say what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' Makefile | expand -t 16

setup: .venv/ready   ## make .venv and install tracekit with its pinned dependencies

replay: .venv/ready  ## replay the committed traces; results go to results/
	$(BIN)/tracekit replay traces/*.parquet -o results

report: replay       ## the same as one page, report.html
	$(BIN)/tracekit report results traces/*.parquet -o report.html

docs: .venv/ready    ## write the reference out of the code and build the site into site/
	$(BIN)/python -m tracekit.cli.reference docs/reference
	$(BIN)/zensical build --strict --clean

test: .venv/ready    ## run the tests
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest -n 2 --dist worksteal -m 'uncompiled and not slow'
	$(BIN)/pytest -n 2 --dist worksteal -m 'not uncompiled and not slow'

test-slow: .venv/ready ## run the tests that take minutes
	$(BIN)/pytest -m slow

lint: .venv/ready    ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --project pyproject.toml
	$(BIN)/lint-imports

bench: .venv/ready   ## run the benchmarks, one after the other
	set -e; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file; done

ksm: .venv/ready     ## compare sharing.ksm with this machine's kernel (root; opt-in)
	$(BIN)/python validation/ksm.py

capture-test: .venv/ready ## boot three real VMs, capture, check and replay them (root, QEMU; opt-in)
	$(BIN)/python validation/capture.py

clean:               ## remove everything that was made
	rm -rf .venv results report.html site dist build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tracekit needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

.PHONY: help setup replay report docs test test-slow lint bench ksm capture-test clean
