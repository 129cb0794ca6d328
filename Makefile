# make demo and make test are all that a newcomer needs; each sets up what it uses.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test wheel bench torture docs lint lint-rust lint-python licences test-rust test-python error-places test-faults test-soak develop develop-checked clean

PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
# Without it, a Python of cargo's own choice would be looked for, and the bindings compiled again when it changes.
export PYO3_PYTHON := $(BIN)/python
export PATH := $(BIN):$(PATH)
# pip and maturin ask for neither.
export VIRTUAL_ENV := $(CURDIR)/.venv
unexport CONDA_PREFIX

# Which places of the sources make an error, as the tests reach them.
ERROR_PLACES := $(CURDIR)/target/error-places.txt

say = @printf '\n\033[1m%s\033[0m\n' "$(1)"

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: develop  ## Build Millpond and play the four acts of a small pipeline
	@python examples/demo.py

test: lint test-rust test-python error-places test-faults test-soak  ## Build everything, run all lints and tests
	$(call say,everything passed)

bench: develop  ## Compare with other engines, measure restarts and streaming (takes about an hour)
	@benches/compare/run.sh
	@python benches/streaming/streaming.py --peers-python benches/compare/.venv/bin/python

torture: develop  ## Run the long catalogues of faults and random cases (takes hours)
	$(call say,random programs)
	PROPTEST_CASES=20000 MILLPOND_CASES=20000 MILLPOND_POWER_SEEDS=2000 MILLPOND_IMAGES=100000 cargo test --workspace --locked
	$(call say,a first run in little memory)
	MILLPOND_TORTURE=1 cargo test -p millpond --test memory --locked
	$(call say,a year of runs every ten minutes)
	MILLPOND_RUNS=52560 cargo test --release -p millpond --test integration --locked growth:: -- --nocapture
	$(call say,kills)
	cargo build --workspace --examples --locked
	MILLPOND_TORTURE=1 python -m pytest -q tests/faults tests/python/test_processes.py
	$(call say,half an hour of streaming)
	MILLPOND_SOAK_SECONDS=1800 python -m pytest -q -s tests/soak

wheel: .venv/ready  ## Build the Python package as a wheel, in target/wheels/
	maturin build --release --locked

docs: .venv/ready  ## Build the site of documents in site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict
	@echo 'open site/index.html'

lint: lint-rust lint-python licences  ## Run formatters, linters and type checkers

lint-rust: .venv/ready
	$(call say,rustfmt$(comma) clippy and rustdoc)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
	if command -v cargo-machete > /dev/null; then cargo machete; fi

lint-python: .venv/ready
	$(call say,ruff$(comma) mypy$(comma) circles and widths)
	python tests/circles.py
	python tests/doc_width.py
	ruff check .
	ruff format --check .
	mypy
	mypy tests/faults tests/check_licences.py tests/circles.py tests/doc_width.py tests/error_places.py
	mypy tests/soak docs/hooks.py

licences: .venv/ready
	$(call say,licences of all dependencies)
	python tests/check_licences.py
	if command -v cargo-deny > /dev/null; then cargo deny check licenses bans sources; fi

test-rust: .venv/ready
	$(call say,Rust tests)
	rm -f $(ERROR_PLACES)
	MILLPOND_ERROR_PLACES=$(ERROR_PLACES) cargo test --workspace --locked

test-python: develop-checked
	$(call say,Python tests$(comma) documents included)
	PYTHONPATH=$(CURDIR)/tests/python/places MILLPOND_ERROR_PLACES=$(ERROR_PLACES) python -m pytest -q

error-places: test-rust test-python
	$(call say,places that make an error)
	python tests/error_places.py $(ERROR_PLACES)

test-faults: .venv/ready
	$(call say,kills and errors at every change to the disk)
	cargo build --workspace --examples --locked
	python -m pytest -q tests/faults

test-soak: develop-checked
	$(call say,three minutes of streaming over 1$(comma)000 files)
	python -m pytest -q -s tests/soak

develop: .venv/ready
	$(call say,the Python package$(comma) release build)
	maturin develop --release --locked

# Of what the Rust tests are built of: quick to make, and it checks invariants and overflows, and notes places that make an error.
develop-checked: .venv/ready
	$(call say,the Python package$(comma) with checks)
	maturin develop --locked

.venv/ready: requirements-dev.txt docs/requirements.txt
	$(call say,the virtual environment .venv)
	$(PYTHON) -c 'import sys; sys.exit("Millpond needs Python 3.10 or newer; choose one with: make PYTHON=/path/to/python3" if sys.version_info < (3, 10) else 0)'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -r docs/requirements.txt
	@touch $@

clean:  ## Remove all that make built
	rm -rf target .venv dist site python/millpond/*.so

comma := ,
