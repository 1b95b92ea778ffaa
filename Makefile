# One task runner: the same commands locally and in CI. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
INPUTS := pyproject.toml constraints.txt scripts/install
ROOMS := $(wildcard groundswell connectors inference operators serving model_export dataflows cli)
PYTEST := $(BIN)/python -m pytest
# More arguments for pytest: make test ARGS="-k kafka"
ARGS ?=

.PHONY: help
help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Each stamp is newer than what it was made from, so nothing is installed twice.
.venv/.installed-run: $(INPUTS)
	@scripts/install cpu
	@touch $@

.venv/.installed-all: $(INPUTS)
	@scripts/install cpu,export,dev
	@touch .venv/.installed-run $@

.venv/.installed-train: $(INPUTS)
	@scripts/install cpu,train,mlflow,dev
	@touch .venv/.installed-run .venv/.installed-all $@

.venv/.installed-models: $(INPUTS)
	@scripts/install cpu,train,words,mlflow,dev
	@touch .venv/.installed-run .venv/.installed-all .venv/.installed-train $@

.PHONY: demo
demo: .venv/.installed-run ## run the job on real and invented posts, on this machine alone
	@$(BIN)/groundswell demo

# With TRAIN=1 the packages of training are installed too (torch: 4.7 GB on Linux) and their tests are run.
TRAIN ?=

.PHONY: test
test: .venv/.installed-$(if $(TRAIN),train,all) ## run the tests, on a real Kafka, Redis and Elasticsearch; all with TRAIN=1
	@$(BIN)/python -m tests.stack check
	$(PYTEST) tests $(ROOMS) $(ARGS)

.PHONY: lint
lint: .venv/.installed-all ## style, types and the order of the tree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -q tests/test_house.py tests/test_tree.py

.PHONY: fuzz
fuzz: .venv/.installed-all ## the decoding properties with 1,000,000 cases
	GROUNDSWELL_FUZZ_CASES=1000000 $(PYTEST) tests/operators -o timeout=7200 $(ARGS)

.PHONY: chaos
chaos: .venv/.installed-all ## the fault tests with outages of 60 s
	@$(BIN)/python -m tests.stack check
	GROUNDSWELL_OUTAGE_SECONDS=60 $(PYTEST) tests -m faults -o timeout=3600 $(ARGS)

.PHONY: bench
bench: .venv/.installed-train ## run every benchmark and write docs/benchmarks.md (torch: 4.7 GB on Linux)
	@$(BIN)/python -m tests.stack check
	$(BIN)/python -m benchmarks $(ARGS)

# onnxruntime-gpu excludes onnxruntime, so it has an environment of its own. EXTRAS=gpu leaves TensorRT out.
GPU := .venv-gpu/bin
EXTRAS ?= gpu,tensorrt

.venv-gpu/.installed: $(INPUTS) | .venv/.installed-all
	@$(BIN)/python -c 'import sys; from benchmarks.gpu import refusal; sys.exit(refusal())'
	@VENV=.venv-gpu scripts/install $(EXTRAS),export,dev
	@touch $@

.PHONY: bench-gpu
bench-gpu: .venv-gpu/.installed ## BERT-base on a GPU: CUDA and TensorRT, bare and through the operator
	$(GPU)/python -m benchmarks.gpu $(ARGS)

.PHONY: test-gpu
test-gpu: .venv-gpu/.installed ## the tests that need a GPU
	$(GPU)/python -m pytest tests/gpu $(ARGS)

.PHONY: stack
stack: .venv/.installed-all ## start Kafka, Redis and Elasticsearch and leave them up
	@$(BIN)/python -m tests.stack up

.PHONY: stack-down
stack-down: .venv/.installed-all ## end them and remove their data
	@$(BIN)/python -m tests.stack down

.PHONY: docs
docs: .venv/.installed-all ## make the reference pages from the code
	@mkdir -p build
	$(BIN)/groundswell docs metrics > build/page && mv build/page docs/metrics.md
	$(BIN)/groundswell docs settings > build/page && mv build/page docs/settings.md
	$(BIN)/groundswell docs recipe > build/page && mv build/page docs/recipe.md
	$(BIN)/groundswell docs example > build/page && mv build/page groundswell.example.toml

# Where the public data lies, where runs are kept, and the repository that versions are published in:
# make models DATA=/some/where MODELS=build/my-models
DATA ?= ../shared/data
RUNS ?= build/models
MODELS ?= models
STARTERS := encoder nli
LIFE := $(BIN)/groundswell models

# Each step leaves what is finished as it is, so what was interrupted goes on where it was.
.PHONY: models
models: .venv/.installed-models ## train and publish every model that is shipped, from the public data
	$(LIFE) baseline --data $(DATA) --repository $(MODELS)
	$(LIFE) words --data $(DATA) --repository $(MODELS)
	@$(MAKE) --no-print-directory $(STARTERS:%=publish-%)
	$(LIFE) evidence --data $(DATA) --repository $(MODELS) --set models.repository=$(MODELS)

$(RUNS)/%/training.json: model_export/recipes/%.toml
	$(LIFE) train $* --data $(DATA) --out $(RUNS)/$*
	@touch $@

$(RUNS)/%/export/export.json: $(RUNS)/%/training.json
	$(LIFE) export $(RUNS)/$*
	@touch $@

$(RUNS)/%/export/optimise.json: $(RUNS)/%/export/export.json
	$(LIFE) optimise $(RUNS)/$* --data $(DATA) --forms int8 --word-bits 4
	@touch $@

# Of a version that is the champion already it only says so.
.PHONY: $(STARTERS:%=publish-%)
$(STARTERS:%=publish-%): publish-%: $(RUNS)/%/export/optimise.json
	$(LIFE) publish $(RUNS)/$* --form int8 --data $(DATA) --repository $(MODELS)

.PRECIOUS: $(RUNS)/%/training.json $(RUNS)/%/export/export.json $(RUNS)/%/export/optimise.json

.PHONY: constraints
constraints: .venv/.installed-all ## renew constraints.txt
	scripts/constraints

.PHONY: clean
clean: ## remove what was built, the downloads excepted
	@if [ -f build/stack/state.json ]; then $(BIN)/python -m tests.stack down; fi
	rm -rf .venv .venv-gpu build dist groundswell-data *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
