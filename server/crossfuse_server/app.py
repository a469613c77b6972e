"""The server put together: interceptors, services, and its life from loading to the end."""

from __future__ import annotations

import logging
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from crossfuse.errors import MissingDependency
from crossfuse.oip import SERVICE as INFERENCE_SERVICE
from crossfuse.v1 import fusion_pb2, fusion_pb2_grpc
from crossfuse_server import health
from crossfuse_server.admin import AdminServicer
from crossfuse_server.admission import Admission
from crossfuse_server.calls import Calls
from crossfuse_server.engines import DeviceEngines, GivenEngines, OpenEngines
from crossfuse_server.host import ModelHost
from crossfuse_server.interceptor import ErrorInterceptor
from crossfuse_server.memory import give_back_when_idle, tune_allocator
from crossfuse_server.models import State
from crossfuse_server.observations import Observations
from crossfuse_server.oip.handlers import add_to_server, reflection_pool
from crossfuse_server.oip.servicer import InferenceServicer
from crossfuse_server.open_streams import OpenStreams
from crossfuse_server.pools import FUSE_STREAM, Pools
from crossfuse_server.recorder import Recorder
from crossfuse_server.servicer import FusionServicer
from crossfuse_server.settings import ServerSettings
from crossfuse_server.shares import by_address, by_token
from crossfuse_server.tls import GrpcCertificates, TlsFiles
from crossfuse_server.tokens import TokenInterceptor, read_tokens
from crossfuse_server.tracing import open_tracing
from crossfuse_server.transport import grpc_server, open_port
from crossfuse_server.watch import watch_folders

if TYPE_CHECKING:
    from crossfuse_server.http.gateway import HttpGateway

log = logging.getLogger(__name__)

SERVICE = fusion_pb2.DESCRIPTOR.services_by_name["FusionService"].full_name
ADMIN_SERVICE = fusion_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name

# How long a thread may keep the interpreter while another waits for it. Python's own 5 ms, taken by
# threads that refuse calls, would be half of an engine's time.
SWITCH_SECONDS = 0.0005

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

    def __init__(self, settings: ServerSettings, open_engines: OpenEngines | None = None) -> None:
        tune_allocator()
        sys.setswitchinterval(SWITCH_SECONDS)
        self.settings = settings
        self.calls = Calls()
        self.observations = Observations()
        self.recorder = Recorder(self.observations, open_tracing(settings.otel_endpoint))
        self.port = 0
        self.http_port = 0
        self._http: HttpGateway | None = None
        self._draining = threading.Event()
        self._ended = threading.Event()
        self.tokens = read_tokens("token_file", settings.token_file)
        self.admin_tokens = read_tokens("admin_token_file", settings.admin_token_file)
        tls_files = TlsFiles.of(settings)
        self._certificates = None if tls_files is None else GrpcCertificates(tls_files)
        identify = by_address if settings.token_file is None else by_token
        self.admission = Admission(settings, identify)
        source = GivenEngines(open_engines) if open_engines else DeviceEngines(settings)
        self._health = health.HealthServicer(self._statuses)
        self.pools = Pools(settings)
        self.host = ModelHost(settings, source, self._health.changed, self.observations)
        self.open_streams = OpenStreams(
            settings.max_streams,
            identify,
            partial(self.pools.patience.make_room, self.pools.of(FUSE_STREAM)),
            self._draining.is_set,
        )
        self.servicer = FusionServicer(
            settings,
            self.host,
            self.admission,
            lambda: self.state,
            self.recorder,
            self.open_streams,
        )
        self._inference = InferenceServicer(
            settings,
            self.host,
            self.admission,
            lambda: self.state,
            self.recorder,
            self.observations,
            self.open_streams,
        )
        self._server = self._build()

    @property
    def state(self) -> State:
        """What the server is doing; it serves as soon as its default model is ready."""
        return State.DRAINING if self._draining.is_set() else self.host.default.state

    @property
    def is_draining(self) -> bool:
        """Whether it ends; asks without waiting for anybody, for signal handlers."""
        return self._draining.is_set()

    def start(self) -> None:
        """Open the port, then load the models; calls are answered from the first moment on."""
        self.port = open_port(self._server, self.settings, self._certificates)
        if self.settings.http_port is not None:
            self._http = self._open_http()
            self.http_port = self._http.port
            self._http.start()
        self._server.start()
        threading.Thread(
            target=self.pools.patience.watch, args=(self._ended,), name="patience", daemon=True
        ).start()
        self.host.load(self._default_is_settled)
        threading.Thread(
            target=give_back_when_idle,
            args=(self.calls.total_when_idle, self._ended),
            name="give-back-memory",
            daemon=True,
        ).start()
        if self.settings.watch_seconds:
            threading.Thread(
                target=watch_folders,
                args=(self.settings, self.host.reload, self._ended),
                name="watch-folders",
                daemon=True,
            ).start()

    def wait(self) -> None:
        """Return when the server has ended; raises what kept the default model from loading."""
        # Not one wait without end: Python runs signal handlers in this thread, and a signal that
        # another thread received does not wake it up.
        while not self._ended.wait(SIGNAL_DELAY):
            pass
        if self.host.default.state is State.FAILED:
            raise self.host.default.error or AssertionError("a failed model has an error")

    def drain(self) -> None:
        """Refuse new work, finish what is in flight within the time allowed, and stop."""
        if self._draining.is_set():
            return
        self._draining.set()
        self._health.changed()
        self.open_streams.drain()
        if not self.calls.wait_until_idle(self.settings.drain_seconds):
            log.warning("calls were cut off after %s s", self.settings.drain_seconds)
        self.stop()

    def stop(self) -> None:
        """Stop at once; an engine that hangs is left behind."""
        self._draining.set()
        self._health.end()
        stopped = self._server.stop(GOODBYE_SECONDS)
        self.host.close()
        if self._http is not None:
            self._http.stop()
        stopped.wait()
        if self.recorder.tracing is not None:
            self.recorder.tracing.close()
        self._ended.set()

    def reread(self) -> None:
        """Serve what is on the search path now, with the certificates and tokens of now."""
        for source in (self._certificates, self.tokens, self.admin_tokens):
            if source is not None:
                source.reread()
        self.host.reload()

    def _build(self) -> grpc.Server:
        settings = self.settings
        interceptors: list[grpc.ServerInterceptor[Any, Any]] = [
            TokenInterceptor(self.tokens, self.admin_tokens, self.calls),
            ErrorInterceptor(
                self.calls,
                self.pools,
                self.admission,
                settings.max_message_bytes,
                self.recorder,
            ),
        ]
        server = grpc_server(self.pools.control, interceptors, settings.max_message_bytes)
        fusion_pb2_grpc.add_FusionServiceServicer_to_server(self.servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        services = [SERVICE, health.SERVICE, reflection.SERVICE_NAME]
        if self.admin_tokens is not None:
            admin = AdminServicer(self.host)
            fusion_pb2_grpc.add_AdminServiceServicer_to_server(admin, server)
            services.append(ADMIN_SERVICE)
        pool = reflection_pool(services)
        reflection.enable_server_reflection([*services, INFERENCE_SERVICE], server, pool)
        add_to_server(self._inference, server)
        return server

    def _open_http(self) -> HttpGateway:
        try:  # here: it is slow to import, and most servers do without
            from crossfuse_server.http.gateway import HttpGateway
        except ImportError as error:
            raise MissingDependency(error.name or "a package", "http_port", "server") from error
        return HttpGateway(self)

    def _default_is_settled(self) -> None:
        if self.host.default.state is State.FAILED:
            self.stop()

    def _statuses(self) -> dict[str, bool]:
        """Whether the server, each model by name, and each by name and version serves."""
        draining = self._draining.is_set()
        default, *others = self.host.models
        statuses: dict[str, bool] = {}
        for model in (default, *others):
            serves = model.state is State.SERVING and not draining
            name = model.bundle.manifest.name
            statuses[name] = statuses.get(name, False) or serves
            statuses[model.bundle.reference] = serves
        serves = default.state is State.SERVING and not draining
        return {**statuses, "": serves, SERVICE: serves}
