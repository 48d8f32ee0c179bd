# Every command of the project. CI calls these and nothing else.
PYTHON ?= python3
VENV := .venv
INSTALL := pip install --quiet --disable-pip-version-check --no-compile
BIN := $(VENV)/bin
# Byte code is written when a module is first imported: to compile all that is installed takes longer than the demo.
# What every process imports is compiled once, before there are several.
unexport PYTHONDONTWRITEBYTECODE
WARM_UP := python -c "import fl_chain.cli.main, fl_chain.demo, fl_chain.worker, fl_chain.learning, torch"
RUN_STAMP := $(VENV)/.run-stamp
FUZZ_SECONDS ?= 60
DEV_STAMP := $(VENV)/.dev-stamp
SLITHER_VENV := .venv-slither
SLITHER_STAMP := $(SLITHER_VENV)/.stamp
NODE_STAMP := contracts/node_modules/.stamp
NODE_OK := $(shell command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && echo yes)

.PHONY: help demo test test-long lint forge slither invariants gas figures bench examples attacks corruptions fuzz report-check contracts format clean node-check
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

$(RUN_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(INSTALL) -c constraints.txt -e .
	$(BIN)/$(WARM_UP)
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(INSTALL) -c constraints.txt -e '.[dev]'
	$(BIN)/$(WARM_UP)
	@touch $(RUN_STAMP) $@

$(NODE_STAMP): contracts/package.json contracts/package-lock.json | node-check
	cd contracts && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(SLITHER_STAMP): contracts/slither-requirements.txt
	$(PYTHON) -m venv $(SLITHER_VENV)
	$(SLITHER_VENV)/bin/$(INSTALL) -r $<
	@touch $@

node-check:
ifneq ($(NODE_OK),yes)
	@echo "node and npm are needed here: they bring the Solidity compiler and forge. Install Node.js 20 or later, then run the command again." >&2
	@exit 1
endif

demo: $(RUN_STAMP) ## five stores train one model on a local ledger, then anyone audits it (writes runs/demo)
	$(BIN)/fl-chain demo --out runs/demo --force

# Three processes for two cores: some tests wait for deadlines.
test: ## lint, static analysis, contract tests, all Python tests
	$(MAKE) --no-print-directory -j 2 forge lint slither
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long"

test-long: $(DEV_STAMP) $(NODE_STAMP) ## what `make test` leaves out: protected demonstrations, more processes that die or lie, larger masked rounds, contracts compiled anew
	$(BIN)/pytest -m long

forge: $(NODE_STAMP) ## the contract's own tests; `make invariants` draws far more
	cd contracts && npx --no-install forge test

lint: $(DEV_STAMP) $(NODE_STAMP) ## formatting, types, import floors, committed artefacts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd contracts && npx --no-install forge fmt --check

slither: $(DEV_STAMP) $(NODE_STAMP) $(SLITHER_STAMP) ## static analysis: every finding has its reason in contracts/slither.toml
	$(BIN)/python scripts/analyse_contracts.py

invariants: $(NODE_STAMP) ## the contract's fuzz tests and invariants with a budget of hours
	cd contracts && FOUNDRY_PROFILE=deep npx --no-install forge test

gas: $(DEV_STAMP) ## measure the gas of every call, rewrite contracts/gas.json
	$(BIN)/python tests/contract/contract_gas.py

attacks: $(DEV_STAMP) ## try every attack of docs/attacks.md, then again with each rule off that stops it
	$(BIN)/python tests/attacks/numbered/proofs_of_rules.py

figures: $(DEV_STAMP) ## copy measured figures into docs/, write docs/attacks.md
	$(BIN)/python scripts/make_figures.py
	$(BIN)/python scripts/make_attacks.py

format: $(DEV_STAMP) $(NODE_STAMP) ## format Python and Solidity in place
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd contracts && npx --no-install forge fmt

contracts: $(DEV_STAMP) $(NODE_STAMP) ## compile the contracts and rewrite the committed artefacts
	$(BIN)/python scripts/compile_contracts.py
	$(BIN)/python tests/attacks/numbered/switchable.py

bench: $(DEV_STAMP) ## run every benchmark, write benchmarks/results/*.json
	$(BIN)/python -m benchmarks

examples: $(DEV_STAMP) ## run the worked jobs on real data, rewrite examples/*/*.json, pictures and pages
	$(BIN)/python -m examples all

report-check: $(DEV_STAMP) ## open the demo's audit page in headless Chromium (needs Chromium and runs/demo), take pictures
	$(BIN)/python scripts/check_report.py runs/demo --out runs/report-check

corruptions: $(DEV_STAMP) ## corrupt a finished run ten thousand times, write docs/corruptions.md (some minutes)
	$(BIN)/python tests/corruptions/corruption_table.py --write docs/corruptions.md

fuzz: $(DEV_STAMP) ## run the coverage-guided fuzzer on every decoder, FUZZ_SECONDS (60) each; brings atheris
	$(BIN)/pip install --quiet --disable-pip-version-check atheris==3.0.0
	$(BIN)/pytest tests/fuzz/slices.py
	$(BIN)/python tests/fuzz/fuzzer.py --seconds $(FUZZ_SECONDS) --found runs/fuzz

clean: ## remove environments, builds and runs
	rm -rf $(VENV) $(SLITHER_VENV) contracts/node_modules contracts/out contracts/cache runs build dist *.egg-info
