# Every target sets up what it needs by itself; `make` alone lists them.
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-run demo test test-law test-lies test-market test-postgres migration lint format types imports gates vectors coverage bench-gas mutants readme clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## environment for tests and checks: .venv, local chain, measured homes
	@scripts/setup.sh dev

setup-run:
	@scripts/setup.sh run

demo: setup-run ## the demo market, from real homes to verified money; options through ARGS=
	@$(BIN)/clearwatt demo $(ARGS)

test: setup ## all tests but those of whole markets and of the whole law; options through ARGS=
	@$(BIN)/pytest -n 2 --ignore=tests/acceptance --ignore=tests/contracts/law $(ARGS)
	@$(BIN)/pytest tests/acceptance/test_bad_input.py $(ARGS)

test-law: setup ## a state machine plays all contracts against a model; options through ARGS=
	@$(BIN)/pytest -n 2 --timeout 0 tests/contracts/law $(ARGS)

test-lies: setup ## every corruption of every leaf of an honest cycle, not five a field; options through ARGS=
	@CLEARWATT_ALL_LIES=1 $(BIN)/pytest -n 2 --timeout 0 tests/contracts/completeness $(ARGS)

test-market: setup ## whole markets of processes: figures, tampering, faults, interruption
	@$(BIN)/pytest --timeout 1500 tests/acceptance --ignore=tests/acceptance/test_bad_input.py $(ARGS)

test-postgres: setup ## the tests of the database on PostgreSQL, which is started for it and removed afterwards
	@$(BIN)/python -m scripts.postgres $(BIN)/pytest -n 2 -m postgres $(ARGS)

migration: setup ## the next migration, from the tables in store/; say what changes through ARGS='"..."'
	@$(BIN)/python -m scripts.migration add $(ARGS)

lint: setup ## style of the Python sources, and no floats in the settlement rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python scripts/check_no_floats.py

format: setup ## rewrites the Python sources in the agreed style
	@$(BIN)/ruff check --fix-only --exit-zero --quiet .
	@$(BIN)/ruff format .

types: setup ## mypy, strict
	@$(BIN)/mypy
	@$(BIN)/mypy scripts

imports: setup ## which room may import which
	@$(BIN)/lint-imports

gates: setup ## contract sources, sizes, snapshots, their page; a test for every revert reason
	@$(BIN)/python -m scripts.contract_gates
	@$(BIN)/python -m scripts.contracts_page --check
	@$(BIN)/python scripts/revert_reasons.py

vectors: setup ## rewrites the conformance vectors from the reference; the tests compare them
	@$(BIN)/python -m scripts.make_vectors

coverage: setup ## contract tests, with the lines and conditions of the contracts that they ran
	@$(BIN)/python scripts/contract_coverage.py $(ARGS)

bench-gas: setup ## what every operation costs, into docs/gas.md; ARGS=--snapshot renews what the tests compare with
	@$(BIN)/python -m scripts.bench_gas $(ARGS)

mutants: setup ## do the tests notice what is wrong in a contract? goes on where it was stopped; options through ARGS=
	@$(BIN)/python -m scripts.mutants $(ARGS)

readme: demo ## the README's figures, from a run of the demo
	@$(BIN)/python scripts/readme_figures.py

clean: ## removes what was built; the environment stays
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -not -path './tools/*' -prune -exec rm -rf {} +
