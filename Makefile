# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_DIR ?= .demo

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-servers test-workflows lint bench lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

# The environment is made again when a lock file changes; a half-made one leaves no stamp.
$(VENV)/.dev-stamp: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12"; exit 1; }
	@echo "installing the pinned requirements into $(VENV) (a few minutes on a first run) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/.dev-stamp ## play the whole story on this machine, in .demo
	$(BIN)/python scripts/demo.py --dir "$(DEMO_DIR)"

test: $(VENV)/.dev-stamp ## run the tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow and not servers and not workflows"

test-slow: $(VENV)/.dev-stamp ## run the proofs that take minutes
	$(BIN)/python -m pytest -m slow

$(VENV)/.servers-stamp: $(VENV)/.dev-stamp requirements/servers.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/servers.txt
	@touch $@

test-servers: $(VENV)/.servers-stamp ## run promotion against PostgreSQL, S3 and basic auth
	$(BIN)/python -m pytest -m servers

.tools/checkers/.stamp: requirements/workflows.txt
	$(PYTHON) -m venv .tools/checkers
	.tools/checkers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
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

lint: $(VENV)/.dev-stamp ## check style
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

lock: ## resolve requirements/*.in again (needs uv)
	for name in promote train dev servers workflows bench; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done

clean: ## remove everything that these commands made
	rm -rf $(VENV) .demo .work .data .tools .pytest_cache .ruff_cache .hypothesis

$(VENV)/.bench-stamp: $(VENV)/.dev-stamp requirements/bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

bench: $(VENV)/.bench-stamp ## print times, and ratios against other tools in the same run
	for file in tests/proofs/benchmarks/bench_*.py; do echo "## $$file"; $(BIN)/python $$file || exit 1; done
