# Needs a Debian or Ubuntu with Python 3.11 or later; everything else it installs itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.NOTPARALLEL:

PYTHON ?= python3.11
VENV := .venv
BUILD := .build
STAMP := $(VENV)/.installed
JOBS ?= 2

# The tests start hundreds of processes, and each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

# cryptsetup lives where the PATH of an ordinary user does not look.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH):/usr/sbin:/sbin

# opencryptoki brings a daemon that systemd starts: only where nobody works.
SYSTEM_WIDE := $(if $(filter true,$(CI)),opencryptoki:/usr/sbin/pkcsslotd)

.PHONY: help env packages demo test tests soak lint docs bench clean

help: ## Show this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

env: $(STAMP) ## Make .venv with everything that development needs

$(STAMP): pyproject.toml constraints.txt
	@echo "Making $(VENV): about a minute."
	tools/python-venv $(PYTHON) $(VENV)
	pip install --quiet --constraint constraints.txt --upgrade pip
	pip install --quiet --constraint constraints.txt --group dev
	pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[all]'
	touch $@

packages: ## Install the Debian packages that the tests use, where that is allowed
	@tools/debian-packages softhsm2:softhsm2-util opensc:pkcs11-tool cryptsetup-bin:cryptsetup \
	  libbde-utils:bdeinfo openssl:openssl p11-kit:/usr/libexec/p11-kit/p11-kit-server \
	  p11-kit-modules:/usr/lib/$$(uname -m)-linux-gnu/pkcs11/p11-kit-client.so \
	  libnss3:/usr/lib/$$(uname -m)-linux-gnu/libsoftokn3.so libnss3-tools:certutil \
	  gcc:gcc libc6-dev:/usr/include/stdio.h \
	  postgresql:/usr/lib/postgresql $(SYSTEM_WIDE)

demo: env ## Show the main job: keys made, wrapped, unwrapped and used
	@keyhier demo

test: env packages lint docs tests ## Check everything

# pytest's closing line comes last, where it is looked for, and the coverage just above it.
tests: env
	mkdir -p $(BUILD)
	coverage erase
	coverage run -m pytest --numprocesses $(JOBS) --dist worksteal | tee $(BUILD)/pytest.log
	coverage combine --quiet
	coverage report
	tail -n 1 $(BUILD)/pytest.log

# Everything at full length, which takes the longer the busier the machine is.
soak: export KEYHIER_SOAK_SECONDS ?= 20
soak: export KEYHIER_SOAK_FORKS ?= 200
soak: export KEYHIER_SOAK_ITEMS ?= 10000
soak: export KEYHIER_SOAK_MANY ?= 1000000
soak: export KEYHIER_SOAK_THROTTLED ?= 3000 10000
soak: export KEYHIER_SOAK_KILLS ?= 300
soak: export KEYHIER_SOAK_KILLED_RECORDS ?= 500
soak: export KEYHIER_SOAK_WRITES ?= 1
soak: export KEYHIER_SOAK_LISTED ?= 1000000
soak: export KEYHIER_SOAK_FIGURES := $(CURDIR)/$(BUILD)/soak.md
soak: env packages ## Check at full length what tests/soak checks in short
	mkdir -p $(BUILD)
	rm -f $(KEYHIER_SOAK_FIGURES)
	pytest tests/soak tests/hierarchy/jobs/test_kills.py tests/hierarchy/jobs/test_kills_at_writes.py -p no:randomly
	cat $(KEYHIER_SOAK_FIGURES)

lint: env ## Check style, types and who imports whom
	ruff check .
	ruff format --check .
	mypy
	lint-imports

docs: env ## Build the site into .build/site
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

bench: env packages ## Measure against the raw bindings and a C program
	python -m benchmarks
	python -m benchmarks.placement
	python -m benchmarks.middle_keks
	python -m benchmarks.rewrapping

clean: ## Remove what the other targets made
	rm -rf $(VENV) $(BUILD) dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
	  .hypothesis .import_linter_cache
	find keyhier backends tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +
