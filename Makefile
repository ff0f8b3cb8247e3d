# SPDX-License-Identifier: GPL-3.0-or-later
.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-matrix bench bench-vtpm fuzz-vtpm tpm12 lock clean setup-build setup-bench setup-test

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest -q
# With the options of pytest-xdist: as many processes as processors. A machine test is one busy processor and up
# to 1 GB of memory; tests/conftest.py says which of them stay together.
UNITS := -n auto --dist worksteal
MACHINES := -n auto --maxprocesses 4 --dist loadscope

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-build  ## set up this machine, build the demo ISO, boot it and judge it
	./builder.py build demo
	./builder.py smoke demo
	@echo "Now look around in it:  ./builder.py run demo"

test: test-unit  ## set up this machine, run all tests: unit tests, then those that build and boot machines
	@echo "== machine tests"
	$(PYTEST) $(MACHINES) --durations 10 -m qemu

test-unit: setup-test  ## the tests that need no machine, with linters and types: minutes
	@echo "== unit tests, linters, types"
	$(PYTEST) $(UNITS)

test-matrix: setup-test  ## every suite, recipe, medium and TPM, built and booted: an hour
	@echo "== machine tests, all suites and ways to boot"
	$(PYTEST) -m matrix

bench: setup-bench  ## measure builds and boots, write docs/benchmarks.md
	$(PYTHON) -m bootproof.bench

bench-vtpm: setup-test  ## measure the TPM emulator beside swtpm, write docs/benchmarks-vtpm.md
	$(PYTHON) -m bootproof.bench.vtpm

fuzz-vtpm: setup-test  ## fuzz the TPM emulator for SECONDS=60
	$(PYTHON) -m fuzz --seconds $(or $(SECONDS),60)

tpm12: setup-test  ## renew the tables of docs/tpm12.md and docs/vtpm.md
	$(PYTEST) tests/tpm -p tests.tpm.recorder
	$(PYTHON) -m tests.tpm.documents

lock:  ## pin the newest Python packages that setup/requirements.in allows
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--upgrade --output-file setup/requirements.lock setup/requirements.in

clean:  ## remove what was built, and .venv
	rm -rf out .venv

setup-build:
	@setup/install build run smoke

setup-bench:
	@setup/install build run smoke bench

setup-test:
	@setup/install
