# `make run` and `make test` are all the set-up there is; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= $(shell expr $$(nproc) \* 3 / 2) # tests wait for half of their time
export UV_PYTHON_DOWNLOADS := never

.PHONY: help run test lint format mlflow faults newest bench bench-sweep bench-index bench-mlflow bench-page bench-serving bench-tracking lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1:\2/p' $(firstword $(MAKEFILE_LIST)) | sed 's/:/	/' | expand -t 24

run: .venv/installed ## the main job: a scikit-learn script, from its environment to an answered prediction
	$(BIN)/python -m examples.demo

test: .venv/installed lint ## lint and test; PYTEST='-m "not slow"' leaves out the slow tests
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST)

lint: .venv/installed ## ruff, and mypy in strict mode
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed ## sort the imports and format the code
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

mlflow: .venv/installed ## tests/mlflow with each version of MLflow that is supported; `make test` has the newest
	AMLCORE_MLFLOW_VERSIONS=2.9.2,2.22.5,3.1.4,3.17.2 $(BIN)/python -m pytest -n $(JOBS) tests/mlflow $(PYTEST)

faults: .venv/installed ## kills, power cuts, full disks, damaged files: 100 or more of each, and a table
	$(BIN)/python -m tests.faults

newest: .venv/installed ## tests/config with the newest Hydra and OmegaConf, pre-releases too
	tests/config/newest $(PYTEST)

bench: .venv/installed ## what a run, a sweep and a Slurm job cost, as ratios measured side by side
	$(BIN)/python -m benchmarks.runs

bench-sweep: .venv/installed ## the part of it about sweeps
	$(BIN)/python -m benchmarks.sweep

bench-index: .venv/installed ## lists and filters over 20,000 runs
	$(BIN)/python -m benchmarks.index

bench-mlflow: .venv/installed ## what MLflow's calls cost in a run, beside MLflow's own default store
	$(BIN)/python -m benchmarks.mlflow

bench-serving: .venv/installed ## services beside others; BENCH_ROUNDS and BENCH_SECONDS make it longer
	$(BIN)/python -m benchmarks.serving

bench-page: .venv/installed ## the page of all runs beside `import mlflow`, and its first table of 20,000 runs
	$(BIN)/python -m benchmarks.page

bench-tracking: .venv/installed ## runs recorded, listed and filtered beside MLflow's SQLite store and wandb offline
	$(BIN)/python -m benchmarks.tracking

COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-header --no-annotate
lock: .venv/installed ## pin every dependency anew, with hashes and without an index
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --group dev --constraints requirements/runtime.txt --output-file requirements/dev.txt
	$(COMPILE) requirements/build.in --output-file requirements/build.txt
	echo uv | $(COMPILE) - --constraints requirements/runtime.txt --output-file requirements/uv.txt
	$(BIN)/python -c 'from amlcore.page.environment import MLFLOW; print(MLFLOW)' | \
	    $(COMPILE) - --constraints requirements/runtime.txt --output-file amlcore/page/lock.txt

.venv/installed: pyproject.toml requirements/uv.txt requirements/build.txt requirements/dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --build-constraints requirements/build.txt \
	    --compile-bytecode -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements/build.txt --editable .
	touch $@

clean: ## remove the environment
	rm -rf .venv dist
