# Two commands are all the set-up there is: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never

.PHONY: run test lint faults bench bench-sweep bench-serving lock clean

# The main job: a scikit-learn script, from its environment to one answered prediction.
run: .venv/installed
	$(BIN)/python -m examples.demo

# ruff, mypy strict and the tests; `make test PYTEST='-m "not slow"'` leaves the slow parts out.
test: .venv/installed lint
	$(BIN)/python -m pytest -n 2 $(PYTEST)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Kills, power cuts, damaged files and other faults: 100 tries or more of each, and a table of what was lost or harmed.
faults: .venv/installed
	$(BIN)/python -m tests.faults

# Ratios, each pair measured side by side in one run.
bench: .venv/installed
	$(BIN)/python -m benchmarks.runs

# The part of it about sweeps.
bench-sweep: .venv/installed
	$(BIN)/python -m benchmarks.sweep

# A service beside what is written by hand and what others offer; BENCH_ROUNDS and BENCH_SECONDS make it longer.
bench-serving: .venv/installed
	$(BIN)/python -m benchmarks.serving

# Pins every dependency anew, with hashes and without the address of any index.
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-header --no-annotate
lock: .venv/installed
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --group dev --constraints requirements/runtime.txt --output-file requirements/dev.txt
	$(COMPILE) requirements/build.in --output-file requirements/build.txt
	echo uv | $(COMPILE) - --constraints requirements/runtime.txt --output-file requirements/uv.txt

.venv/installed: pyproject.toml requirements/uv.txt requirements/build.txt requirements/dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --build-constraints requirements/build.txt \
	    --compile-bytecode -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements/build.txt --editable .
	touch $@

clean:
	rm -rf .venv dist
