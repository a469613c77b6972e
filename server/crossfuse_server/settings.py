"""The server's settings: one typed tree, filled from flags, CROSSFUSE_SERVER_* and a TOML file."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from crossfuse.bundles import DEFAULT_MODEL, PRECISIONS
from crossfuse.engines import DEVICES
from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.images import DEFAULT_MAX_PIXELS
from crossfuse_server import LARGEST_MAX_PIXELS
from crossfuse_server.setting_fields import check, setting, typed

ENVIRONMENT_PREFIX = "CROSSFUSE_SERVER_"

# A client alone may hold half of the bytes: one message of the largest size and its pictures.
LEAST_PAIRS_HELD = 4


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Every setting, with its default; the same names in the file, the variables and the flags."""

    # Where it listens
    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(8001, "gRPC port; 0 takes a free one", least=0, most=65535)
    http_port: int | None = setting(
        None,
        "HTTP port on the same address; 0 takes a free one",
        kind=int,
        example=8080,
        least=0,
        most=65535,
    )
    tls_cert: Path | None = setting(None, "PEM file with the server's certificate chain")
    tls_key: Path | None = setting(None, "PEM file with the server's private key")
    tls_client_ca: Path | None = setting(
        None, "PEM file with authorities; callers must present a certificate of one of them"
    )
    insecure: bool = setting(False, "listen where other machines can reach it without TLS")
    token_file: Path | None = setting(
        None, "file with one bearer token per line; callers must present one of them"
    )
    admin_token_file: Path | None = setting(
        None, "file with tokens of those who may load and unload models; none: nobody may"
    )

    # What it serves
    models: Path | None = setting(None, "a folder of bundles to add to the search path")
    default_model: str = setting(DEFAULT_MODEL, "model of requests that name none; ready first")
    device: str = setting("auto", "device the models run on", choices=DEVICES)
    precision: str = setting("auto", "precision of the models", choices=("auto", *PRECISIONS))
    threads: int = setting(0, "processors the pairs of a model share; 0 takes all", least=0)
    warm_up: str = setting("480x640", "HxW each model is run at before it counts as ready")
    watch_seconds: float = setting(
        0.0, "look for changed bundles this often; 0: only when told to", least=0, most=86_400
    )
    stall_seconds: float = setting(
        60.0,
        "how much longer than usual an engine may take before it is opened anew",
        least=0.05,
        most=86_400,
    )

    # How it batches
    batching: str = setting(
        "auto",
        "run pairs of one size together; auto: never on a CPU, else where it pays at warm-up",
        choices=("auto", "on", "off"),
    )
    max_batch: int = setting(8, "most pairs that run together", least=1, most=64)
    batch_delay_ms: float = setting(
        0.0, "how long a pair waits for others beyond the wait for a free engine", least=0, most=1e4
    )
    preferred_batches: str = setting(
        "", "sizes at which nobody waits any longer, like 4,8; the largest is max_batch anyway"
    )

    # What it takes
    max_pixels: int = setting(
        DEFAULT_MAX_PIXELS, "most pixels of one picture", least=1024, most=LARGEST_MAX_PIXELS
    )
    max_queue: int = setting(
        256, "most calls of one client that wait for one model", least=1, most=4096
    )
    max_queue_bytes: int = setting(
        0,
        "most bytes all calls together hold; 0: 1 GiB, more with a larger max_pixels",
        least=0,
    )
    memory_limit_mb: int = setting(
        0, "memory of the process above which new work waits; 0: 9/10 of what there is", least=0
    )
    max_streams: int = setting(32, "most streams of one client at once", least=1)
    max_in_flight: int = setting(8, "most frames one stream may have in flight", least=1)
    decoders: int = setting(0, "pictures decoded or encoded at once; 0: one per processor", least=0)

    # How long it waits for callers
    message_seconds: float = setting(
        60.0, "longest wait for the message of a call", least=0.05, most=86_400
    )
    idle_seconds: float = setting(
        3600.0, "longest wait for the next frame of a stream", least=0.05, most=86_400
    )

    # What it tells
    log_format: str = setting("text", "lines for people or for machines", choices=("text", "json"))
    log_level: str = setting(
        "warning",
        "info: a line for each failed call; debug: for every one",
        choices=("debug", "info", "warning", "error"),
    )
    otel_endpoint: str = setting(
        "", "URL of an OpenTelemetry collector to send traces to, like http://127.0.0.1:4317"
    )

    # How it ends
    drain_seconds: float = setting(
        30.0, "longest wait for calls in flight at SIGTERM", least=0, most=86_400
    )

    def __post_init__(self) -> None:
        for entry in fields(self):
            check(entry, getattr(self, entry.name))
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_key" if self.tls_key is None else "tls_cert"
            raise InvalidInput(missing, "nothing", "both tls_cert and tls_key, or neither")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise InvalidInput("tls_cert", "nothing", "a certificate where there is tls_client_ca")
        if self.tls_cert is None and not (self.insecure or is_loopback(self.host)):
            raise InvalidInput(
                "host",
                f"{self.host!r}, which other machines can reach, without TLS",
                "tls_cert and tls_key, or 127.0.0.1, or insecure to be read by everybody",
            )
        for name in ("tls_cert", "tls_key", "tls_client_ca", "token_file", "admin_token_file"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise InvalidInput(name, str(path), "a file that exists")
        _ = self.warm_up_size, self.batch_sizes
        if 0 < self.max_queue_bytes < LEAST_PAIRS_HELD * self.max_message_bytes:
            raise InvalidInput(
                "max_queue_bytes",
                str(self.max_queue_bytes),
                f"{LEAST_PAIRS_HELD * self.max_message_bytes} or more with this max_pixels",
            )

    @property
    def warm_up_size(self) -> tuple[int, int]:
        """Height and width of the warm-up."""
        try:
            height, width = map(int, self.warm_up.split("x"))
        except ValueError:
            raise InvalidInput("warm_up", repr(self.warm_up), "HxW, like 480x640") from None
        if min(height, width) < 1 or height * width > self.max_pixels:
            raise InvalidInput(
                "warm_up", repr(self.warm_up), f"HxW of at most {self.max_pixels} pixels"
            )
        return height, width

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """`preferred_batches` as numbers, rising."""
        try:
            sizes = sorted(int(size) for size in self.preferred_batches.split(",") if size)
        except ValueError:
            sizes = [0]
        if sizes and sizes[0] < 1:
            raise InvalidInput("preferred_batches", repr(self.preferred_batches), "sizes like 4,8")
        return tuple(sizes)

    @property
    def queue_bytes(self) -> int:
        """`max_queue_bytes`, or what takes its place."""
        return self.max_queue_bytes or max(2**30, LEAST_PAIRS_HELD * self.max_message_bytes)

    @property
    def max_message_bytes(self) -> int:
        """Two RAW pictures at the pixel limit, the infrared one with 16 bits, and their fields."""
        return self.max_pixels * (2 + 3) + 64 * 1024


def load_settings(
    flags: Mapping[str, Any] | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> ServerSettings:
    """Merge the sources: a flag wins over a variable, a variable over the file.

    `flags` holds only what was given. An unknown key is an error with a suggestion.
    """
    given = merge_sources(flags, config, environment)
    return ServerSettings(**{key: value for key, (value, _) in given.items()})


def merge_sources(
    flags: Mapping[str, Any] | None,
    config: Path | None,
    environment: Mapping[str, str] | None,
) -> dict[str, tuple[Any, str]]:
    """What was given, each with where: a file, a variable or a flag."""
    environment = os.environ if environment is None else environment
    known = {entry.name: entry for entry in fields(ServerSettings)}
    values: dict[str, tuple[Any, str]] = {}
    for key, value in _read_file(config).items():
        if key not in known:
            raise UnknownName(f"setting in {config}", key, known)
        values[key] = typed(known[key], value, str(config)), f"file {config}"
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if key not in known:
            names = (ENVIRONMENT_PREFIX + name.upper() for name in known)
            raise UnknownName("environment variable", variable, names)
        values[key] = typed(known[key], text, variable), f"variable {variable}"
    for key, value in (flags or {}).items():
        values[key] = value, f"flag --{key.replace('_', '-')}"
    return values


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; names other than localhost do not count."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_file(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput("config", str(config), f"a readable file ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("config", str(config), f"a TOML file ({error})") from error
