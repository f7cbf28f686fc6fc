# exo-um's house work. Bare `make` prints the targets. Everything lives in .venv and build;
# chatter goes to stderr, so that stdout is the guest's.

SHELL := /bin/bash
PYTHON_VENV := .venv/bin/python
BUSYBOX := /bin/busybox

# Folders too: a removed file changes nothing else.
SOURCES := $(shell find native exo_um posix_x drivers pyproject.toml CMakeLists.txt \
	-name __pycache__ -prune -o -print 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help run test bench lint format size docs conformance build clean
.DELETE_ON_ERROR:
.SILENT:

help: ## print this list
	sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | sort | while IFS=$$'\t' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

build: .venv/.installed ## build and install into .venv, if anything changed

run: .venv/.installed ## start a busybox shell in exo-um (or what is piped in)
	tools/busybox.sh
	.venv/bin/exo-um run $(BUSYBOX) sh

test: .venv/.installed ## unit, native, guest and system tests; as root also as nobody
	tools/test.sh

bench: .venv/.installed ## measure, with the contenders, and draw; ONLY="startup ring" picks
	tools/bench.sh $(ONLY)

conformance: .venv/.installed ## compare each system call with the host's
	if [ -f tests/conformance/run.py ]; then $(PYTHON_VENV) tests/conformance/run.py; \
	else echo 'make conformance: not built yet' >&2; exit 2; fi

lint: .venv/.lint .venv/.installed ## check style, types, layers and C
	tools/lint.sh

format: .venv/.lint ## format Python and C in place
	tools/format.sh

size: .venv/.installed ## the loader's size, and source files over 250 lines
	tools/size.sh

docs: .venv/.required ## write docs/syscalls.md from the table
	mkdir -p docs
	$(PYTHON_VENV) posix_x/table/generate.py --docs docs/syscalls.md

clean: ## remove build and .venv
	rm -rf build .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# --- Stamps. One lock, as two terminals may build at the same time.

LOCK := mkdir -p build && flock build/.lock

.venv/.required: pyproject.toml tools/require.sh tools/requirements.py
	$(LOCK) tools/require.sh build
	touch $@

.venv/.installed: .venv/.required tools/build.sh $(SOURCES)
	touch $@.began # a file saved during the build is newer
	$(LOCK) tools/build.sh
	mv $@.began $@

.venv/.lint: .venv/.required
	$(LOCK) tools/require.sh lint
	touch $@
