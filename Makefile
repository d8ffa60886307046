# Pehra. `make help` lists what there is. Nothing is needed but Python 3.11+, git and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench docs lock train test-arm clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## Cameras, fleet manager and console on this machine. ARGS="--help" tells more
	@$(BIN)/pehra demo $(ARGS)

test: $(VENV)/.dev ## Run the tests. ARGS="-k outbox" picks some
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev ## Format, lint, types and the direction of the rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code and mend what can be mended by itself
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## Measure against named peers; the table goes to docs/benchmarks.md by hand
	$(BIN)/python -m tests.bench $(ARGS)

train: $(VENV)/.train ## Add the [train] extra (2 GB) to the environment; `pehra models train` needs it

docs: $(VENV)/.dev ## Write the generated documents anew (docs/asyncapi.yaml)
	$(BIN)/python -m ota.messages.asyncapi > docs/asyncapi.yaml

COMPILE := uv pip compile pyproject.toml requirements/build.in -c requirements/constraints.txt \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q
LOCK    := $(COMPILE) --universal

lock: ## Write the locks anew (needs uv)
	$(LOCK) --extra device --extra fleet --extra field --extra dev -o requirements/dev.lock
	$(LOCK) --extra device --extra fleet --extra field -c requirements/dev.lock -o requirements/run.lock
	$(LOCK) --extra device -c requirements/dev.lock -o requirements/device.lock
	$(LOCK) --extra field -c requirements/dev.lock -o requirements/field.lock
	$(LOCK) --extra tflite -o requirements/tflite.lock
	$(LOCK) --extra fleet -c requirements/dev.lock -o requirements/fleet.lock
	@# The arm run installs into Debian bookworm's Python, whose wheels this machine's Python fetches.
	$(COMPILE) --python-platform aarch64-unknown-linux-gnu --extra device requirements/arm-test.in \
	  -c requirements/dev.lock -o requirements/arm-test.lock
	uv pip compile requirements/bench.in -c requirements/dev.lock --override requirements/bench-overrides.txt \
	  --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -q \
	  -o requirements/bench.lock
	@# Training on a PC without a GPU: UV_FIND_LINKS names the folder or page that has torch's +cpu wheel.
	$(COMPILE) --python-platform x86_64-unknown-linux-gnu --extra train -c requirements/dev.lock \
	  -o requirements/train.lock

test-arm: $(VENV)/.dev ## Run the device's unit tests on aarch64 under qemu-user (root; docs/boards.md)
	@tests/arm/run.sh $(ARGS)

clean: ## Remove the environment and what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Pehra needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.lock pyproject.toml | $(BIN)/python
	@echo "Installing Pehra into $(VENV) (once)..."
	$(PIP) install --require-hashes -r requirements/run.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	$(PIP) install --require-hashes -r requirements/dev.lock
	@touch $@

# The lock is whole; one peer's own wishes contradict ours (requirements/bench-overrides.txt).
$(VENV)/.bench: requirements/bench.lock $(VENV)/.dev
	$(PIP) install --no-deps --require-hashes -r requirements/bench.lock
	@touch $@

# Locked for x86-64 Linux without a GPU. Others: pip install '.[train]' into the environment.
$(VENV)/.train: requirements/train.lock $(VENV)/.dev
	$(PIP) install --require-hashes -r requirements/train.lock
	@touch $@
