# Each target sets up what it needs; nothing is installed outside .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo test long test-s3 account soak crash cluster browser hour check deploy-check audit bench docs format lock clean

help:
	@echo "make demo    set up and run everything offline, ending in bars (Ctrl-C stops it)"
	@echo "make test    set up and run the tests"
	@echo "make long    the long tests: deaths before every change and of Dagster's processes, many random options, a change of configuration"
	@echo "make account balance what was sent against what was kept, for each fault alone"
	@echo "make soak    the collector through a misbehaving hour, SECONDS=3600: memory, queue, account"
	@echo "make crash   the collector killed a hundred times: nothing flushed is lost or doubled"
	@echo "make cluster spread a backfill over two workers and kill one; needs Postgres and Redis"
	@echo "make browser drive Dagster's page in Chromium (PICTURES=docs/assets takes the docs' pictures anew)"
	@echo "make test-s3 the long tests against a real S3 server: deaths at random moments, ways that break, bytes read"
	@echo "make hour    an hour of twenty instruments through the real daemon, with figures"
	@echo "make check   format, lint, types, layers, docs in step"
	@echo "make deploy-check  everything in deploy/, by the tools made for it"
	@echo "make audit   known vulnerabilities of what is installed; needs the network"
	@echo "make bench   print the figures, as tables and JSON"
	@echo "make docs    write the generated pages again"
	@echo "make clean   remove what was built; data stays"

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "FluxForge needs Python 3.11: set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && apt-get install -y -q python3-venv; } \
		|| { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# compiled once here, so that no run waits for the compiler
.venv/compiled: .venv/installed $(wildcard fluxforge_assets/kernels/*.py)
	$(BIN)/python -m fluxforge_assets.kernels
	@touch $@

demo: .venv/compiled
	$(BIN)/fluxforge demo $(ARGS)

test: .venv/compiled
	$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

# what has no target of its own below
LONG_TESTS := tests/collector/segments tests/assets/lake/test_compaction_kill.py tests/assets/lake/test_conversion.py \
	tests/assets/test_twin_random.py tests/end_to_end/test_configuration_change.py \
	tests/end_to_end/test_deaths.py

long: .venv/compiled
	$(BIN)/pytest -n 2 --dist worksteal -m slow --timeout 3600 $(LONG_TESTS) $(ARGS)

account: .venv/compiled
	$(BIN)/pytest -m slow -k balances -n 2 --timeout 900 tests/collector $(ARGS)

# the collector as it is installed alone, for what it takes in memory
.venv/collector/installed: .venv/installed
	$(BIN)/uv venv --quiet --clear .venv/collector
	$(BIN)/uv pip install --quiet --python .venv/collector/bin/python --constraint requirements.lock setuptools
	$(BIN)/uv pip install --quiet --python .venv/collector/bin/python --constraint requirements.lock --no-build-isolation --editable .
	@touch $@

SECONDS ?= 3600
soak: .venv/compiled .venv/collector/installed
	cd tests && ../$(BIN)/python -m endurance.soak --seconds $(SECONDS) --fluxforge ../.venv/collector/bin/fluxforge $(ARGS)

LIVES ?= 100
crash: .venv/compiled
	cd tests && ../$(BIN)/python -m endurance.crash --lives $(LIVES) $(ARGS)

S3_TESTS := tests/collector/storage tests/collector/transfer tests/collector/service/test_sending.py \
	tests/assets/lake/test_bucket.py tests/assets/lake/test_bucket_costs.py tests/assets/lake/test_either_root.py \
	tests/assets/lake/test_repair.py \
	tests/assets/lake/test_locks.py tests/assets/defs/test_in_bucket.py tests/assets/cli/test_in_bucket.py \
	tests/collector/service/test_replaying.py::test_a_recording_in_a_bucket_is_replayed tests/end_to_end/test_either_root.py

test-s3: .venv/compiled
	$(BIN)/pytest -n 2 --dist worksteal -m "slow or not slow" $(S3_TESTS) $(ARGS)

cluster: .venv/compiled
	@command -v redis-server >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null \
		|| { echo "Postgres or Redis is missing: apt-get install postgresql redis-server"; exit 1; }
	$(BIN)/pytest -m slow tests/end_to_end/test_cluster.py $(ARGS)

browser: .venv/compiled
	@test -x /usr/bin/chromium || { echo "Chromium is missing: apt-get install chromium"; exit 1; }
	FLUXFORGE_PICTURES=$(PICTURES) $(BIN)/pytest -m browser tests/browser $(ARGS)

hour: .venv/compiled
	$(BIN)/pytest -s -m slow tests/end_to_end/test_hour.py $(ARGS)

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

# its own environment: validators bring packages that nothing else needs
.venv-deploy/installed: deploy/locks/checks.lock .venv/installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-deploy
	$(BIN)/uv pip sync --quiet --require-hashes --python .venv-deploy/bin/python deploy/locks/checks.lock
	@touch $@

deploy-check: .venv/installed .venv-deploy/installed
	$(BIN)/pytest -m "deploy or not slow" tests/deploy $(ARGS)

audit: .venv-deploy/installed
	.ci/audit

bench: .venv/compiled
	@for bench in tests/bench/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

docs: .venv/compiled
	$(BIN)/python docs/generate.py

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK = $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11
lock: .venv/installed
	$(LOCK) --all-extras pyproject.toml -o requirements.lock
	$(LOCK) --no-annotate --extra s3 --constraint requirements.lock pyproject.toml -o deploy/locks/collector.lock
	$(LOCK) --no-annotate --extra assets --extra server --extra kubernetes --constraint requirements.lock pyproject.toml -o deploy/locks/assets.lock
	$(LOCK) --no-annotate --extra assets --extra cluster --constraint requirements.lock pyproject.toml -o deploy/locks/cluster.lock
	$(LOCK) --no-annotate deploy/locks/checks.in -o deploy/locks/checks.lock

clean:
	rm -rf .venv .venv-deploy build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
