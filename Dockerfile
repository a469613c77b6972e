# syntax=docker/dockerfile:1

# CrossFuse in containers: one file, three images.
#
#   docker build --target cpu --tag crossfuse:0.1.0-cpu .       the server on CPUs; no torch
#   docker build --target gpu --tag crossfuse:0.1.0-gpu .       the server on NVIDIA GPUs
#   docker build --target train --tag crossfuse:0.1.0-train .   training and export
#
# Build arguments, each as --build-arg NAME=VALUE:
#   PYTHON_IMAGE  base of cpu and train. A tag moves; NAME@sha256:... is the image that was tested
#   CUDA_IMAGE    base of gpu: CUDA 13 and cuDNN 9, which onnxruntime-gpu links; driver 580 or newer
#   MODELS        none: bundles come in a volume at /models. baked: the checkout's models/ are inside
#   GPU_EXTRA     tensorrt. gpu: onnxruntime's CUDA provider alone, some gigabytes less
#   PIP_OPTIONS   anything pip should be told, e.g. an index that has CPU builds of torch
#   VERSION, REVISION, CREATED  the version, commit and date in the labels
#
# All run as user 10001 with a read-only root file system and a tmpfs at /tmp. docs/deploy.md tells
# how; `make docker-check` executes every step of this file without a container engine.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG CUDA_IMAGE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04
ARG MODELS=none

# --- the wheel, which is all that the images get of the checkout ---------------------------------
FROM ${PYTHON_IMAGE} AS wheel
ARG PIP_OPTIONS=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /source
COPY constraints.txt ./
# hadolint ignore=SC2086
RUN python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir ${PIP_OPTIONS} \
        --constraint constraints.txt hatchling
COPY pyproject.toml README.md LICENSE ./
COPY crossfuse/ crossfuse/
COPY training/ training/
COPY export/ export/
COPY server/ server/
COPY benchmarks/ benchmarks/
RUN /opt/build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation \
        --wheel-dir /wheels .

# --- bundles ------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS models-none
RUN mkdir /models

FROM ${PYTHON_IMAGE} AS models-baked
COPY models/ /models/

# hadolint ignore=DL3006
FROM models-${MODELS} AS models

# --- environments: pip makes packages.json, the bill of materials, and is not needed after that ---
FROM ${PYTHON_IMAGE} AS cpu-environment
ARG PIP_OPTIONS=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /build
COPY constraints.txt ./
COPY --from=wheel /wheels/ /wheels/
# hadolint ignore=SC2086
RUN python -m venv /opt/crossfuse \
    && /opt/crossfuse/bin/python -m pip install --no-cache-dir ${PIP_OPTIONS} \
        --constraint constraints.txt "$(printf '%s' /wheels/crossfuse-*.whl)[cpu,server]" \
    && /opt/crossfuse/bin/python -m pip inspect > /opt/crossfuse/packages.json \
    && /opt/crossfuse/bin/python -m pip uninstall --yes pip setuptools

FROM ${CUDA_IMAGE} AS gpu-environment
ARG GPU_EXTRA=tensorrt
ARG PIP_OPTIONS=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY constraints.txt ./
COPY --from=wheel /wheels/ /wheels/
# TensorRT is the release that onnxruntime-gpu links (constraints.txt); a newer one does not load.
# Its libraries come from NVIDIA's own index, which its packages ask by themselves.
# hadolint ignore=SC2086
RUN python3 -m venv /opt/crossfuse \
    && /opt/crossfuse/bin/python -m pip install --no-cache-dir ${PIP_OPTIONS} \
        --constraint constraints.txt "$(printf '%s' /wheels/crossfuse-*.whl)[${GPU_EXTRA},server]" \
    && /opt/crossfuse/bin/python -m pip inspect > /opt/crossfuse/packages.json \
    && /opt/crossfuse/bin/python -m pip uninstall --yes pip setuptools

FROM ${PYTHON_IMAGE} AS train-environment
ARG PIP_OPTIONS=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /build
COPY constraints.txt ./
COPY --from=wheel /wheels/ /wheels/
# torch alone and first: left to be pulled in by another package it could be another build.
# hadolint ignore=SC2086
RUN python -m venv /opt/crossfuse \
    && /opt/crossfuse/bin/python -m pip install --no-cache-dir ${PIP_OPTIONS} \
        "$(grep '^torch==' constraints.txt)" \
    && /opt/crossfuse/bin/python -m pip install --no-cache-dir ${PIP_OPTIONS} \
        --constraint constraints.txt "$(printf '%s' /wheels/crossfuse-*.whl)[export]" \
    && /opt/crossfuse/bin/python -m pip inspect > /opt/crossfuse/packages.json \
    && /opt/crossfuse/bin/python -m pip uninstall --yes pip setuptools

# --- cpu ----------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS cpu
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="CrossFuse" \
    org.opencontainers.image.description="Fuses infrared and visible pictures over gRPC, on CPUs" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 crossfuse \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin crossfuse
COPY --from=models /models/ /models/
COPY --from=cpu-environment /opt/crossfuse/ /opt/crossfuse/
ENV PATH=/opt/crossfuse/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    CROSSFUSE_SERVER_HOST=0.0.0.0 \
    CROSSFUSE_SERVER_MODELS=/models
USER 10001:10001
WORKDIR /tmp
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 \
    CMD ["crossfuse", "health", "--server", "localhost:8001"]
ENTRYPOINT ["/usr/bin/tini", "--", "crossfuse"]
CMD ["serve"]

# --- gpu: engines that TensorRT builds belong into a volume at /engines ---------------------------
FROM ${CUDA_IMAGE} AS gpu
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="CrossFuse" \
    org.opencontainers.image.description="Fuses infrared and visible pictures over gRPC, on GPUs" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 crossfuse \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin crossfuse \
    && install --directory --owner=10001 --group=10001 --mode=0700 /engines
COPY --from=models /models/ /models/
COPY --from=gpu-environment /opt/crossfuse/ /opt/crossfuse/
# An engine is code: it is loaded from a folder that the server itself made for itself alone.
ENV PATH=/opt/crossfuse/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    CROSSFUSE_ENGINES=/engines/crossfuse \
    CROSSFUSE_SERVER_HOST=0.0.0.0 \
    CROSSFUSE_SERVER_MODELS=/models
USER 10001:10001
WORKDIR /tmp
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=8s --start-period=600s --retries=3 \
    CMD ["crossfuse", "health", "--server", "localhost:8001"]
ENTRYPOINT ["/usr/bin/tini", "--", "crossfuse"]
CMD ["serve"]

# --- train: data at /data (read-only), runs at /runs, both volumes --------------------------------
FROM ${PYTHON_IMAGE} AS train
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="CrossFuse training" \
    org.opencontainers.image.description="Trains fusion networks and exports them as ONNX" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 crossfuse \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin crossfuse \
    && mkdir /data \
    && install --directory --owner=10001 --group=10001 /runs
COPY --from=train-environment /opt/crossfuse/ /opt/crossfuse/
COPY training/configs/ /configs/
ENV PATH=/opt/crossfuse/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    CROSSFUSE_DATA=/data
USER 10001:10001
WORKDIR /runs
# Nothing listens: a run says in its folder how far it is.
HEALTHCHECK NONE
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["crossfuse", "train", "--help"]
