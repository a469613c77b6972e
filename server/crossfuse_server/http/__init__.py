"""HTTP beside gRPC: the same fusion for whoever has no gRPC, and a web page.

Nothing of it is imported unless `http_port` is set.
"""
