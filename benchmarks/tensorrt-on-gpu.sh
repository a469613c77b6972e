#!/usr/bin/env bash
# Everything about TensorRT that needs a GPU, in one go; prints what it ran on first.
#
#   benchmarks/tensorrt-on-gpu.sh [OUTPUT]
#
# Needs an environment with crossfuse[export,tensorrt] and pytest, and a GPU that nobody else uses.
# For figures worth comparing lock the clocks before (nvidia-smi -lgc) and say so in the report.
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:-benchmarks/results/tensorrt-$(date +%Y%m%d)}
mkdir -p "$output"

nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total,clocks.sm,clocks.max.sm,power.limit,temperature.gpu,clocks_throttle_reasons.active \
    --format=csv | tee "$output/gpu.csv"
python -c 'import tensorrt; print("tensorrt", tensorrt.__version__)' | tee -a "$output/gpu.csv"

# Engines of the shipped model; the printed seconds are those of a first build.
crossfuse export tensorrt crossfuse-rt --precision fp32,fp16,int8 --rebuild --json \
    | tee "$output/engines.json"

# Parity with PyTorch, adversarial pictures, memory over 1,000 calls, two streams, reload.
pytest -m gpu tests/gpu -rA -p no:cacheprovider | tee "$output/tests.txt"

# Latency and throughput; the percentiles come with their sample counts.
for precision in fp32 fp16 int8; do
    for batch in 1 8; do
        crossfuse bench engine --model crossfuse-rt --device tensorrt --precision "$precision" \
            --size 480x640 --batch "$batch" -o "$output/$precision-batch$batch"
    done
done
nvidia-smi --query-gpu=clocks.sm,temperature.gpu,clocks_throttle_reasons.active --format=csv \
    | tee -a "$output/gpu.csv"
