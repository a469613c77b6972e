"""What a server counts itself, beside what its client saw: the report that perf_analyzer gives.

The numbers are those of ModelStatistics of the Open Inference Protocol, read before and after a
measurement; their phases have Triton's names: compute_input is reading the pictures, compute_infer
running the model, compute_output writing the answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import grpc

from crossfuse import oip
from crossfuse.client import ModelInfo
from crossfuse.client.grpc_transport import open_channel
from crossfuse_bench.closing import Closing
from crossfuse_bench.server_address import ServerAddress

AGREE = 0.1
TIMEOUT = 10.0
PATIENCE = 1.0
"""Seconds in which a server may still count what it has answered."""


@dataclass(frozen=True)
class Counts:
    """Sums of one model since its server was started; times in nanoseconds, of what succeeded."""

    succeeded: int
    failed: int
    executions: int
    request: int
    queue: int
    compute_input: int
    compute_infer: int
    compute_output: int

    def since(self, before: Counts, seconds: float) -> dict[str, float]:
        """What came on top, per second and in ms per pair."""
        added = {
            each.name: getattr(self, each.name) - getattr(before, each.name)
            for each in fields(self)
        }
        counts = {name: added.pop(name) for name in ("succeeded", "failed", "executions")}
        pairs = max(counts["succeeded"], 1)
        means = {f"{name}_ms": spent / pairs / 1e6 for name, spent in added.items()}
        parts = sum(means.values()) - means["request_ms"]
        return {
            "n": counts["succeeded"],
            "failed": counts["failed"],
            "executions": counts["executions"],
            "throughput": counts["succeeded"] / seconds,
            **means,
            "overhead_ms": means["request_ms"] - parts,
        }


class ServerStatistics(Closing):
    """Asks one server for the counts of one model."""

    def __init__(self, server: ServerAddress, model: ModelInfo) -> None:
        connection = server.connection()
        self._metadata = connection.metadata
        self._channel = open_channel(connection)
        self._model = model
        self.missing = ""
        """Why there is none, where the server does not tell."""

    def read(self, least: int = 0) -> Counts | None:
        """The counts, once at least so many pairs are among them or a second has passed."""
        end = time.monotonic() + PATIENCE
        found = self._ask()
        while found is not None and found.succeeded < least and time.monotonic() < end:
            time.sleep(PATIENCE / 50)
            found = self._ask()
        return found

    def _ask(self) -> Counts | None:
        request = oip.request_class("ModelStatistics")(
            name=self._model.name, version=str(self._model.version)
        )
        ask: Any = self._channel.unary_unary(
            oip.method_path("ModelStatistics"),
            request_serializer=type(request).SerializeToString,
            response_deserializer=oip.ModelStatisticsResponse.FromString,
        )
        try:
            (model,) = ask(request, timeout=TIMEOUT, metadata=self._metadata).model_stats
        except grpc.RpcError as error:
            code: grpc.StatusCode = getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)()
            self.missing = f"the server does not tell its statistics: {code.name}"
            return None
        stats = model.inference_stats
        return Counts(
            succeeded=stats.success.count,
            failed=stats.fail.count,
            executions=model.execution_count,
            request=stats.success.ns,
            queue=stats.queue.ns,
            compute_input=stats.compute_input.ns,
            compute_infer=stats.compute_infer.ns,
            compute_output=stats.compute_output.ns,
        )

    def close(self) -> None:
        """End the connection."""
        self._channel.close()


def differences(row: Mapping[str, Any]) -> tuple[float, float]:
    """How far the server's count and its mean time lie from the client's, as shares.

    The client's time here is the mean of what the answers say the server took.
    """
    server = row["server"]
    return (
        abs(server["n"] / row["n"] - 1),
        abs(server["request_ms"] / row["server_total_ms"] - 1),
    )


def statistics_sentence(rows: Sequence[Mapping[str, Any]], missing: str) -> str:
    """Whether both sides tell the same."""
    both = [row for row in rows if row.get("server") and row["n"]]
    if not both:
        return f"Server's own statistics: {missing or 'no call was answered'}"
    counts, times = (max(values) for values in zip(*map(differences, both), strict=True))
    verdict = "agree" if max(counts, times) <= AGREE else "DISAGREE"
    return (
        f"Server's own statistics and the client's {verdict} over {len(both)} rows: counts differ "
        f"by at most {counts:.1%}, mean times in the server by at most {times:.1%}"
    )
