"""Measurements that need a GPU: phases of a call by CUDA events, CUDA graphs, energy by NVML."""
