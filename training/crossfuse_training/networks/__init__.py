"""The fusion networks: modules that know nothing of files, commands or ONNX."""
