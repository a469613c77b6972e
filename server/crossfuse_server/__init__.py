"""The CrossFuse gRPC service."""
