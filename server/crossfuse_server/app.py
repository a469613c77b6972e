"""The server put together: port, interceptors, services, and its life from loading to the end."""

from __future__ import annotations

import logging
import signal
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from crossfuse.bundles import Bundle
from crossfuse.engines import Engine
from crossfuse.errors import InvalidInput
from crossfuse.v1 import fusion_pb2, fusion_pb2_grpc
from crossfuse_server.interceptor import Calls, ErrorInterceptor
from crossfuse_server.memory import give_back_when_idle, tune_allocator
from crossfuse_server.models import ModelHost, State
from crossfuse_server.servicer import FusionServicer
from crossfuse_server.settings import ServerSettings
from crossfuse_server.tokens import TokenInterceptor, read_tokens

log = logging.getLogger(__name__)

SERVICE = fusion_pb2.DESCRIPTOR.services_by_name["FusionService"].full_name
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

# For health checks, server information and calls that are about to be refused.
SPARE_THREADS = 32

# The longest a signal may have to wait for the main thread.
SIGNAL_DELAY = 0.2

# After draining nothing is in flight; what remains is to tell the peers that the server goes.
GOODBYE_SECONDS = 1.0


class FusionServer:
    """One server process: `start`, then `wait`; `drain` from anywhere ends it.

    Calls are handled in threads: measured against asyncio on the same machine, with RAW pictures, a
    call took 9 % and a frame 7 % less CPU that way, and the rates were the same within the noise
    (benchmarks/results/grpc-stacks-*.md).
    """

    def __init__(
        self,
        settings: ServerSettings,
        open_engines: Callable[[Bundle], Sequence[Engine]] | None = None,
    ) -> None:
        tune_allocator()
        self.settings = settings
        self.calls = Calls()
        self.port = 0
        self._draining = threading.Event()
        self._ended = threading.Event()
        self._host = ModelHost(settings, open_engines)
        self._servicer = FusionServicer(settings, self._host, lambda: self.state)
        self._health = health.HealthServicer()
        self._server = self._build()

    @property
    def state(self) -> State:
        """What the server is doing; it serves as soon as its default model is ready."""
        return State.DRAINING if self._draining.is_set() else self._host.default.state

    def start(self) -> None:
        """Open the port, then load the models; calls are answered from the first moment on."""
        self.port = self._open_port()
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._server.start()
        self._host.load(self._default_is_settled)
        threading.Thread(
            target=give_back_when_idle,
            args=(self.calls.total_when_idle, self._ended),
            name="give-back-memory",
            daemon=True,
        ).start()

    def wait(self) -> None:
        """Return when the server has ended; raises what kept the default model from loading."""
        # Not one wait without end: Python runs signal handlers in this thread, and a signal that
        # another thread received does not wake it up.
        while not self._ended.wait(SIGNAL_DELAY):
            pass
        if self._host.default.state is State.FAILED:
            raise self._host.default.error or AssertionError("a failed model has an error")

    def drain(self) -> None:
        """Refuse new work, finish what is in flight within the time allowed, and stop."""
        if self._draining.is_set():
            return
        self._draining.set()
        self._health.enter_graceful_shutdown()
        self._servicer.drain()
        if not self.calls.wait_until_idle(self.settings.drain_seconds):
            log.warning("calls were cut off after %s s", self.settings.drain_seconds)
        self.stop()

    def stop(self) -> None:
        """Stop at once."""
        self._draining.set()
        self._server.stop(GOODBYE_SECONDS).wait()
        self._host.close()
        self._ended.set()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT drain; a second one stops at once."""

        def on_signal(_: int, __: FrameType | None) -> None:
            # Neither may run in the signal handler itself: both wait for other threads.
            end = self.stop if self._draining.is_set() else self.drain
            threading.Thread(target=end, name="shutdown", daemon=True).start()

        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)

    def _build(self) -> grpc.Server:
        settings = self.settings
        most_calls = settings.max_queue + settings.max_streams + SPARE_THREADS
        interceptors: list[grpc.ServerInterceptor[Any, Any]] = [ErrorInterceptor(self.calls)]
        if settings.token_file is not None:
            interceptors.insert(0, TokenInterceptor(read_tokens(settings.token_file)))
        server = grpc.server(
            ThreadPoolExecutor(most_calls, thread_name_prefix="call"),
            interceptors=interceptors,
            # A call beyond the threads would wait where no limit and no deadline reaches it.
            maximum_concurrent_rpcs=most_calls,
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
                # A camera that lost its power closes nothing; without pings its stream would hold
                # its place for two hours.
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.http2.max_pings_without_data", 0),
            ],
        )
        fusion_pb2_grpc.add_FusionServiceServicer_to_server(self._servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (SERVICE, HEALTH_SERVICE, reflection.SERVICE_NAME), server
        )
        return server

    def _open_port(self) -> int:
        host = self.settings.host
        address = f"{f'[{host}]' if ':' in host else host}:{self.settings.port}"
        credentials = self._credentials()
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise InvalidInput(
                "port", address, "an address of this machine and a port that is free, or port 0"
            ) from error

    def _credentials(self) -> grpc.ServerCredentials | None:
        cert, key = self.settings.tls_cert, self.settings.tls_key
        if cert is None or key is None:
            return None
        try:  # gRPC would take anything here, and blame the port later
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, "")
        except (ssl.SSLError, OSError) as error:
            raise InvalidInput(
                "tls_cert and tls_key",
                f"{cert} and {key} ({error})",
                "a PEM file with a certificate chain and one with its private key, not encrypted",
            ) from error
        return grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])

    def _default_is_settled(self) -> None:
        if self._host.default.state is State.SERVING:
            if not self._draining.is_set():
                self._set_health(health_pb2.HealthCheckResponse.SERVING)
        else:
            self.stop()

    def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", SERVICE):
            self._health.set(service, status)
