"""The blocking client."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from time import sleep
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from crossfuse.client.answers import read_model, read_result, read_server_info
from crossfuse.client.base import DEFAULT_TIMEOUT, BaseClient
from crossfuse.client.connection import DEFAULT_TARGET, TlsOptions
from crossfuse.client.errors import ClientError
from crossfuse.client.frames import StreamItem, StreamLedger
from crossfuse.client.grpc_transport import GrpcTransport
from crossfuse.client.oip_options import CROSSFUSE, OIP
from crossfuse.client.oip_transport import OipTransport
from crossfuse.client.requests import Homography, fuse_request
from crossfuse.client.results import FuseResult, ModelInfo, ServerInfo, StreamResult
from crossfuse.client.retries import DEFAULT_RETRIES, WITHOUT_END, Attempts
from crossfuse.client.stream_messages import StreamMessages
from crossfuse.client.transports import Transport
from crossfuse.images import DEFAULT_MAPPING, DEFAULT_MAX_PIXELS, IrMapping, Pixels

AnswerT = TypeVar("AnswerT")


class FusionClient(BaseClient):
    """Fuses pictures on a CrossFuse server; calls may come from any thread.

        with FusionClient("localhost:8001") as client:
            fused = client.fuse(ir, vis)
            for result in client.stream(pairs):
                show(result.image)

    target: HOST:PORT. timeout: seconds for one call with all its retries, unless the call says
    otherwise. retries: how often a call is tried again when the server is busy or not to be
    reached; while it is loading it is waited for; 0 turns both off. A stream that has begun goes on
    by its own `reconnect` alone. token: presented with every call; without TLS anyone on the way
    can read it. tls: True for the roots this machine trusts, or TlsOptions. max_pixels: the largest
    picture, as in the server's settings. protocol: "oip" speaks the Open Inference Protocol, as
    Triton does (docs/oip.md). transport: takes the place of the connection.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        token: str | None = None,
        tls: TlsOptions | bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        protocol: str = CROSSFUSE,
        transport: Transport | None = None,
    ) -> None:
        super().__init__(
            target,
            timeout=timeout,
            retries=retries,
            token=token,
            tls=tls,
            max_pixels=max_pixels,
            protocol=protocol,
            replaced=transport is not None,
        )
        speak = OipTransport if protocol == OIP else GrpcTransport
        self._transport: Transport = transport or speak(self._connection)

    def fuse(
        self,
        ir: Pixels,
        vis: NDArray[np.uint8],
        *,
        timeout: float | None = None,
        model: str | None = None,
        homography: Homography | None = None,
        ir_mapping: str | IrMapping = DEFAULT_MAPPING,
        ir_polarity: str = "white-hot",
        encoding: str = "raw",
    ) -> NDArray[np.uint8]:
        """Fuse ir, uint8 or uint16 HxW, and vis, uint8 HxWx3 RGB or HxW, into uint8 like vis.

        model: a name or name:version of the server; its default one if not given. homography,
        ir_mapping, ir_polarity: as in `crossfuse.Fuser.fuse`. encoding: how the pictures travel,
        both ways. raw is fastest where the network is; png is lossless too; jpeg and webp are
        smallest and lossy. 16-bit infrared always travels raw.
        """
        return self.fuse_with_details(
            ir,
            vis,
            timeout=timeout,
            model=model,
            homography=homography,
            ir_mapping=ir_mapping,
            ir_polarity=ir_polarity,
            encoding=encoding,
        ).image

    def fuse_with_details(
        self,
        ir: Pixels,
        vis: NDArray[np.uint8],
        *,
        timeout: float | None = None,
        model: str | None = None,
        homography: Homography | None = None,
        ir_mapping: str | IrMapping = DEFAULT_MAPPING,
        ir_polarity: str = "white-hot",
        encoding: str = "raw",
    ) -> FuseResult:
        """As `fuse`, but with the model that was used, the server's timings and the request id."""
        attempts = self._attempts(timeout)
        options = self._options(model, homography, ir_mapping, ir_polarity, encoding)
        request = fuse_request(options, ir, vis)
        response = self._call(lambda left: self._transport.fuse(request, left), attempts)
        return read_result(response, vis.shape)

    def stream(
        self,
        pairs: Iterable[StreamItem],
        *,
        model: str | None = None,
        homography: Homography | None = None,
        ir_mapping: str | IrMapping = DEFAULT_MAPPING,
        ir_polarity: str = "white-hot",
        encoding: str = "raw",
        max_in_flight: int | None = None,
        drop: str = "none",
        frame_deadline: float | None = None,
        timeout: float | None = None,
        reconnect: float = 0.0,
    ) -> Generator[StreamResult, None, None]:
        """Fuse the pictures of a video: one result per pair, in order.

        pairs: (ir, vis) or Frame; read in a thread of its own, at most `max_in_flight` frames
        ahead of the results taken. An exception it raises is raised here, after the results of
        the pairs before it. drop: "none" keeps every frame; "oldest" is for cameras: pairs are
        read as they come, and the server drops the oldest of those it has no room for.
        frame_deadline: seconds after its arrival at the server at which a frame is no longer
        worth fusing. timeout: seconds for the whole stream, without limit if not given.
        reconnect: seconds to go on trying when the connection breaks or the server drains; the
        frames without an answer are sent again under their numbers (under drop="oldest" the
        newest ones; the others give results with `dropped`), and the limits of 16-bit infrared
        start anew. A pair that cannot be fused gives a result with an `error`; what ends the
        whole stream is raised. Leaving the loop early ends the call. The other options are those
        of `fuse`; limits of 16-bit infrared are held over time instead of computed per frame.
        """
        self._check(timeout)
        options = self._options(model, homography, ir_mapping, ir_polarity, encoding)
        ledger = self._ledger(options, max_in_flight, drop, frame_deadline, reconnect)
        return self._results(StreamMessages(ledger, iter(pairs)), ledger, timeout, reconnect)

    def server_info(self, *, timeout: float | None = None) -> ServerInfo:
        """What the server is: state, limits, version and models."""
        attempts = self._attempts(timeout)
        return read_server_info(self._call(self._transport.get_server_info, attempts))

    def models(self, *, timeout: float | None = None) -> list[ModelInfo]:
        """The server's models, the default one first."""
        attempts = self._attempts(timeout)
        return list(map(read_model, self._call(self._transport.list_models, attempts).models))

    def health(self, *, timeout: float | None = None) -> str:
        """loading, serving, draining or failed; ServerUnreachable where no server answers."""
        return self.server_info(timeout=timeout).state

    def close(self) -> None:
        """End what is under way and let go of the connection."""
        self._closed = True
        self._transport.close()

    def __enter__(self) -> FusionClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, call: Callable[[float], AnswerT], attempts: Attempts) -> AnswerT:
        while True:
            try:
                return call(attempts.remaining())
            except ClientError as error:
                pause = attempts.pause_after(error)
            sleep(pause)

    def _results(
        self,
        requests: StreamMessages,
        ledger: StreamLedger,
        timeout: float | None,
        reconnect: float,
    ) -> Generator[StreamResult, None, None]:
        attempts = self._attempts(timeout)
        self._call(lambda left: ledger.check_ready(self._transport.list_models(left)), attempts)
        again: Attempts | None = None
        try:
            while True:
                left = None if timeout is None else attempts.remaining()
                responses = self._transport.fuse_stream(iter(requests), left)
                try:
                    for response in responses:
                        again = None  # the time to reconnect counts from the last answer
                        result = ledger.receive(response)
                        requests.make_room()
                        yield result
                    break
                except ClientError as error:
                    if not reconnect:
                        raise
                    again = again or Attempts(WITHOUT_END, reconnect)
                    pause = again.pause_after(error)
                finally:
                    responses.close()
                for lost in ledger.give_up_old():
                    requests.make_room()
                    yield lost
                sleep(pause)
        finally:
            requests.end()
        if requests.failure is not None:
            raise requests.failure
        ledger.check_complete()
