# `make demo` and `make test` set everything up themselves and are safe to run twice.
#   PYTHON       the interpreter the environments are made with
#   PIP_OPTIONS  anything pip should be told, e.g. an index that has CPU builds of torch (README)
PYTHON ?= python3
PIP_OPTIONS ?=

RUN := .venv/bin
DEV := .venv-dev/bin
PIP := -m pip --disable-pip-version-check install --quiet $(PIP_OPTIONS) --constraint constraints.txt
SETUP_INPUTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint format proto bench parity trt-build trt-build-shipped augmentation-campaign soak fuzz rigs clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The runtime: CPU inference and the server, never torch.
.venv/.installed: $(SETUP_INPUTS)
	$(PYTHON) -m venv .venv
	$(RUN)/python $(PIP) --editable '.[cpu,server]'
	touch $@

# Everything. torch first and by its exact version: left to be pulled in by another package it
# would bring gigabytes of CUDA libraries.
.venv-dev/.installed: $(SETUP_INPUTS)
	$(PYTHON) -m venv .venv-dev
	$(DEV)/python $(PIP) "$$(grep '^torch==' constraints.txt)"
	$(DEV)/python $(PIP) --editable '.[dev]'
	touch $@

demo: .venv/.installed  ## fuse the sample pair with the embedded model into demo/
	$(RUN)/crossfuse demo --output demo

test: .venv-dev/.installed  ## run the whole test suite
	$(DEV)/pytest

lint: .venv-dev/.installed  ## ruff and mypy --strict
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy

format: .venv-dev/.installed  ## mend what ruff can mend
	$(DEV)/ruff check --fix .
	$(DEV)/ruff format .

proto: .venv-dev/.installed  ## regenerate crossfuse/v1 from protos/
	$(DEV)/python -m grpc_tools.protoc -I protos --python_out=. --pyi_out=. \
		--grpc_python_out=. protos/crossfuse/v1/fusion.proto

bench: .venv-dev/.installed  ## latency reports with plots into build/bench; about five minutes
	$(DEV)/crossfuse bench engine --size 480x640,240x320,720x960 --seconds 60 -o build/bench/engine
	$(DEV)/crossfuse bench serve --seconds 10 -o build/bench/serve
	$(DEV)/crossfuse bench video -o build/bench/video

parity: .venv-dev/.installed  ## prove every network at full width against PyTorch; takes hours
	$(DEV)/python -m crossfuse_export.parity_sweep \
		--output benchmarks/results/parity-full-width.md

trt-build: .venv-dev/.installed  ## build TensorRT engines of everything, without a GPU
	$(DEV)/python -m crossfuse_export.tensorrt_sweep \
		--output benchmarks/results/trt-build-rtx1.7.1.md

trt-build-shipped: .venv-dev/.installed  ## the same for what ships; CI runs it
	$(DEV)/python -m crossfuse_export.tensorrt_sweep --shipped-only --output build/trt-build.md

augmentation-campaign: .venv-dev/.installed  ## every augmentation on 1,000 seeds
	CROSSFUSE_AUGMENT_SEEDS=1000 $(DEV)/pytest tests/training/data/test_augment.py

soak: .venv-dev/.installed  ## half an hour of mixed load: memory, threads, descriptors
	$(DEV)/python -m crossfuse_bench.soak --output benchmarks/results/soak-30min.md

fuzz: .venv-dev/.installed  ## a million changed requests: only documented answers
	$(DEV)/python -m crossfuse_bench.fuzz --output benchmarks/results/fuzz-request-bytes.md

rigs: .venv-dev/.installed  ## calibrate fifty rigs with known answers
	$(DEV)/python -m crossfuse_bench.calibrate_rigs \
		--data $${CROSSFUSE_DATA:-../shared/data} -o benchmarks/results/calibrate-50-rigs.md

clean:  ## remove the environments and everything made
	rm -rf .venv .venv-dev demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
