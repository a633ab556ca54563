# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_DIR ?= .demo
INSTALL = PYTHON="$(PYTHON)" sh requirements/install.sh

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-servers test-formats test-browser test-workflows soak lint bench lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

# The environment is brought up to date when a lock changes; a half-made one leaves no stamp.
$(VENV)/.%-stamp: requirements/%.txt requirements/uv.txt
	@$(INSTALL) $(VENV) $*
	@touch $@

# The first command installs what it needs, and compiles what it imports, once, whatever the shell says; tests import more.
unexport PYTHONDONTWRITEBYTECODE
$(VENV)/.dev-stamp: export UV_COMPILE_BYTECODE = 1

$(VENV)/.servers-stamp $(VENV)/.formats-stamp $(VENV)/.browser-stamp $(VENV)/.bench-stamp: $(VENV)/.dev-stamp

demo: $(if $(wildcard $(VENV)/.dev-stamp),$(VENV)/.dev-stamp,$(VENV)/.serve-stamp) ## play the whole story on this machine, in .demo
	$(BIN)/python scripts/demo.py --dir "$(DEMO_DIR)"

test: $(VENV)/.dev-stamp ## run the tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not slow and not servers and not formats and not browser and not workflows"

test-slow: $(VENV)/.dev-stamp ## run the proofs that take minutes
	$(BIN)/python -m pytest -m slow

test-servers: $(VENV)/.servers-stamp ## run promotion against PostgreSQL, S3 and basic auth
	$(BIN)/python -m pytest -m servers

test-formats: $(VENV)/.formats-stamp ## judge, promote, serve and swap models of every library
	$(BIN)/python -m pytest -m formats

test-browser: $(VENV)/.browser-stamp ## look at the pages in Chromium (of your system's packages)
	$(BIN)/python -m pytest -m browser

# The workflows' checkers have a folder of their own, beside act and actionlint.
.tools/checkers/.stamp: requirements/workflows.txt requirements/uv.txt
	@$(INSTALL) .tools/checkers workflows
	@touch $@

.tools/bin/act-0.2.87-actionlint-1.7.12:
	@echo "installing act and actionlint into .tools/bin (a minute on a first run) ..."
	GOBIN="$(CURDIR)/.tools/bin" go install github.com/nektos/act@v0.2.87
	GOBIN="$(CURDIR)/.tools/bin" go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	@touch $@

test-workflows: $(VENV)/.dev-stamp .tools/checkers/.stamp ## run the workflows with act, and check their files
	@if command -v go > /dev/null; then $(MAKE) --no-print-directory .tools/bin/act-0.2.87-actionlint-1.7.12; \
	else echo "Go is not installed, so act and actionlint are not: their tests are skipped"; fi
	WORKFLOW_TOOLS="$$(command -v go)" $(BIN)/python -m pytest -rs tests/workflows tests/workflows/test_files.py

soak: $(VENV)/.dev-stamp ## twenty minutes of promotions under load while everything is killed
	$(BIN)/python tests/proofs/soak/soak.py

lint: $(VENV)/.dev-stamp ## check style and types
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: $(VENV)/.bench-stamp ## print times, and ratios against other tools in the same run, as one table
	$(BIN)/python tests/proofs/benchmarks/bench.py

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links

lock: $(VENV)/.uv-stamp ## resolve requirements/*.in again; `make lock UPGRADE=--upgrade` takes newer versions
	for name in uv promote train judge cluster serve dev servers formats browser workflows bench; do \
	  echo "requirements/$$name.txt" && $(LOCK) $(UPGRADE) requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done

clean: ## remove everything that these commands made
	rm -rf $(VENV) .demo .work* .data .tools .pytest_cache .ruff_cache .mypy_cache .hypothesis
