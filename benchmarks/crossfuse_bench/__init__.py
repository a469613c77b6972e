"""Measuring CrossFuse: latency, throughput and cost, with the conditions beside every number."""
