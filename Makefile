# `make demo` and `make test` set everything up themselves and are safe to run twice.
#   PYTHON       the interpreter the environments are made with
#   PIP_OPTIONS  anything pip should be told, e.g. an index that has CPU builds of torch (README)
#   DOCKER_CHECK  what docker-check proves, e.g. --target gpu --argument GPU_EXTRA=gpu; default: cpu
PYTHON ?= python3
PIP_OPTIONS ?=
DOCKER_CHECK ?=

RUN := .venv/bin
DEV := .venv-dev/bin
PIP := -m pip --disable-pip-version-check install --quiet $(PIP_OPTIONS) --constraint constraints.txt
SETUP_INPUTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help docs docs-commands reference demo test lint format proto bench parity trt-build trt-build-shipped augmentation-campaign ray scaling soak four-streams fuzz properties web oip-triton rigs docker-check release clean

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

# Real Triton, for CPUs. Apart: it needs another numpy.
.venv-triton/.installed:
	$(PYTHON) -m venv .venv-triton
	.venv-triton/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_OPTIONS) \
		nvidia-pytriton==0.7.0
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

proto: .venv-dev/.installed  ## regenerate crossfuse/v1 and crossfuse/oip from protos/
	$(DEV)/python -m grpc_tools.protoc -I protos --python_out=. --pyi_out=. \
		--grpc_python_out=. protos/crossfuse/v1/fusion.proto
	$(DEV)/python -m grpc_tools.protoc -I protos/triton --include_imports \
		--descriptor_set_out=crossfuse/oip/descriptors.binpb protos/triton/grpc_service.proto

docs: .venv-dev/.installed  ## the documentation as a site, into build/site
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=docs/tools $(DEV)/mkdocs build --strict

docs-commands: .venv-dev/.installed  ## run the commands of the guides; about ten minutes
	PYTHONPATH=docs/tools $(DEV)/python -m crossfuse_docs commands

reference: .venv-dev/.installed  ## write docs/reference from the code
	PYTHONPATH=docs/tools $(DEV)/python -m crossfuse_docs reference

bench: .venv-dev/.installed  ## latency report: build/bench/report.html and .json; 12 minutes
	rm -rf build/bench
	$(DEV)/crossfuse bench engine --size 480x640,240x320,360x480,720x960 --seconds 48 \
		-o build/bench/sizes
	$(DEV)/crossfuse bench engine --size 240x320 --batch 2,4,8 --rivals '' --seconds 24 \
		-o build/bench/batches
	$(DEV)/crossfuse bench engine --precision int8 --rivals '' --seconds 9 -o build/bench/int8
	$(DEV)/crossfuse bench serve --concurrency 1,2,4,8 --seconds 15 --search 150 \
		-o build/bench/served
	$(DEV)/crossfuse bench serve --encoding png,jpeg --concurrency 2 --mode unary \
		--arrivals constant --seconds 8 --search 0 -o build/bench/encodings
	$(DEV)/crossfuse bench video --streams 1,2,4,8 --frames 150 -o build/bench/video
	$(DEV)/crossfuse bench join build/bench/sizes build/bench/batches build/bench/int8 \
		build/bench/served build/bench/encodings build/bench/video -o build/bench

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

ray: .venv-dev/.installed  ## the service on a Ray cluster: replicas, upgrades, folders
	$(DEV)/python $(PIP) --editable '.[ray]'
	$(DEV)/pytest tests/ray -m ray

scaling: .venv-dev/.installed  ## throughput and latency against replicas; about five minutes
	$(DEV)/python $(PIP) --editable '.[ray]'
	for engine in waiting rt; do $(DEV)/python -m crossfuse_bench.scaling --engine $$engine \
		--output benchmarks/results/scaling-$$engine-cpu2.json || exit 1; done
	$(DEV)/python -m crossfuse_bench.scaling_page

soak: .venv-dev/.installed  ## half an hour of mixed load: memory, threads, descriptors
	$(DEV)/python -m crossfuse_bench.soak --output benchmarks/results/soak-30min.md

four-streams: .venv-dev/.installed  ## ten minutes of four live streams: turns and memory
	$(DEV)/python -m crossfuse_bench.four_streams \
		--output benchmarks/results/four-streams-10min-cpu2.md

fuzz: .venv-dev/.installed  ## a million changed requests and tokens; goes on where it stopped
	$(DEV)/python -m crossfuse_bench.fuzz --output benchmarks/results/fuzz-request-bytes.md

properties: .venv-dev/.installed  ## the tests of properties, each with 3,000 inputs
	$(DEV)/pytest --hypothesis-profile=long -m hypothesis

web: .venv-dev/.installed  ## the page in Chromium: its tests, and the screenshots in docs/images
	CROSSFUSE_SCREENSHOTS=docs/images $(DEV)/pytest tests/web

oip-triton: .venv-dev/.installed .venv-triton/.installed  ## our answers beside those of real Triton
	$(DEV)/python -m crossfuse_bench.oip_triton --output benchmarks/results/oip-triton.md

rigs: .venv-dev/.installed  ## calibrate fifty rigs with known answers; how far the sets are off themselves
	$(DEV)/python -m crossfuse_bench.calibrate_rigs \
		--data $${CROSSFUSE_DATA:-../shared/data} -o benchmarks/results/calibrate-50-rigs.md
	$(DEV)/python -m crossfuse_bench.own_shifts \
		--data $${CROSSFUSE_DATA:-../shared/data} -o benchmarks/results/calibrate-own-shifts.md

docker-check: .venv-dev/.installed  ## execute the Dockerfile's steps without an engine; needs root
	$(DEV)/hadolint Dockerfile
	PYTHONPATH=deploy/checks $(DEV)/python -m crossfuse_deploy.image_proof $(DOCKER_CHECK)

release: .venv-dev/.installed  ## sdist and wheel into dist/, checked and tried in an empty environment
	PYTHONPATH=deploy/checks $(DEV)/python -m crossfuse_deploy.release --output dist

clean:  ## remove the environments and everything made
	rm -rf .venv .venv-dev .venv-triton demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
