"""The same service on a Ray cluster: many replicas, several machines, one proto, one client.

    client ── gRPC ──> proxy of a node: door.py ── Ray ──> replica.py ── gRPC, loopback ──> app.py

door.py            what Ray's proxies register: the methods, and what becomes of Ray's own refusals
carried.py         how a status with its details travels from a replica to the door
replica.py         one replica: a whole FusionServer, and the methods Ray calls
forwarding.py      from a replica to its server, in bytes
health_checks.py   how a replica notices that it is being replaced
application.py     what a Serve config file imports
multiplexing.py    more models than fit: engines that are opened when they are asked for
metrics.py         what the replica counts, in Ray's metrics

A replica is the server of one machine, unchanged, so everything that is promised of it holds: queue
and batches, refusals, order of frames, tokens. Its door is the proxy's. deploy/ray has the guide.
"""
