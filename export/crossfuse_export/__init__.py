"""From a checkpoint to a proven model bundle; needs torch, onnx and onnxruntime."""
