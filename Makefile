# Rightsize. Needs git, make and Python 3.11, 3.12 or 3.13; takes uv when it is on the PATH (UV= keeps it out).

PORT ?= 8501
PYTHON ?=
UV ?= $(shell command -v uv 2>/dev/null)
SOAK_MINUTES ?= 10
python = .venv/bin/python
environment = UV="$(UV)" PYTHON="$(PYTHON)" sh .ci/environment

.PHONY: help run test check bench soak accuracy evidence lock clean

help: ## list what make can do
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | awk -F '|' '{ printf "make %-10s %s\n", $$1, $$2 }'

run: .venv/made ## open the dashboard on this machine (PORT=8501); builds llama-cpp-python beside it, once
	@exec $(python) -m dashboard --port $(PORT) --stop-with-parent

test: .venv/made-dev ## run every test; first builds llama-cpp-python, once
	@$(python) -m probes.build || echo "The tests that load llama.cpp will be skipped."
	@failed=0; \
	$(python) -m pytest -n 2 -m "not browser" || failed=1; \
	$(python) -m pytest -m browser || failed=1; \
	exit $$failed

check: .venv/made-dev ## what a reviewer runs: format, lint, types, import contracts, then the tests
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(MAKE) --no-print-directory test

bench: .venv/made-dev ## time what a user waits for (tests/bench)
	@$(python) -m tests.bench

soak: .venv/made-dev ## what takes long: the dashboard in use for SOAK_MINUTES=10, then every simulation and kill test of tests/soak
	@$(python) -m tests.soak --minutes $(SOAK_MINUTES)
	@for module in tests/soak/[a-z]*.py; do $(python) -m tests.soak.$$(basename $$module .py) || exit 1; done

bundle: .venv/made ## write dist/rightsize-probe.pyz, which measures a server that has only Python 3.11 to 3.13 (downloads wheels)
	@$(python) -m probes bundle

accuracy: .venv/made ## compare the throughput estimates with published measurements, into docs/accuracy.md
	@$(python) -m capacity accuracy --out docs/accuracy.md

evidence: .venv/made ## refit and validate the chances of being good enough, into docs/evidence.md
	@$(python) -m selector evidence --out docs/evidence.md

lock: ## bring uv.lock up to a changed pyproject.toml (needs uv)
	@test -n "$(UV)" || { echo "error: make lock needs uv on the PATH" >&2; exit 2; }
	@"$(UV)" lock

clean: ## remove the environment and the tools' caches; data, measurements and the built wheel stay
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist test-results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/made: pyproject.toml uv.lock
	@$(environment)
	@touch $@

.venv/made-dev: pyproject.toml uv.lock
	@$(environment) dev
	@touch .venv/made $@
