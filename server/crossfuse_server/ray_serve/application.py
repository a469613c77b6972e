"""What a Serve config file imports: `crossfuse_server.ray_serve.application:build`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ray import serve

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_server.engines import OpenEngines
from crossfuse_server.ray_serve.replica import INSIDE, FusionReplica
from crossfuse_server.setting_fields import setting_type
from crossfuse_server.settings import ServerSettings, load_settings

NAME = "fusion"

# Two pairs keep an engine busy and one waits; where calls wait longer, another replica pays.
CALLS_PER_REPLICA = 3

DEFAULTS: dict[str, Any] = {
    "name": NAME,
    "max_ongoing_requests": 32,
    "max_queued_requests": 64,
    "autoscaling_config": {
        "min_replicas": 1,
        "max_replicas": 4,
        "target_ongoing_requests": CALLS_PER_REPLICA,
        "upscale_delay_s": 10.0,
        "downscale_delay_s": 120.0,
    },
    "ray_actor_options": {"num_cpus": 1},
    # Also tells a replica that it is being replaced: three of these without a question.
    "health_check_period_s": 2.0,
    "graceful_shutdown_wait_loop_s": 0.5,
    "graceful_shutdown_timeout_s": 60.0,
    # A line for every pair, written in the process that fuses, costs more than it tells.
    "logging_config": {"enable_access_log": False},
}


def build(args: Mapping[str, Any]) -> Any:
    """The application; `args` are settings of `crossfuse serve`, and `models_open`.

    models_open: how many models beside the default one a replica has open at once, for clusters
    that serve more than fit; left out, every replica opens all. The rest, such as the number of
    replicas and what each takes of a GPU, is for the `deployments` of the config file.
    """
    settings = dict(args)
    models_open = settings.pop("models_open", None)
    return bind(settings, models_open=models_open)


def bind(
    settings: Mapping[str, Any],
    *,
    models_open: int | None = None,
    open_engines: OpenEngines | None = None,
    **options: Any,
) -> Any:
    """The application from Python; `options` are those of a Ray deployment."""
    flags = _flags(settings)
    load_settings(flags)  # refused here, not in every replica
    values = {**DEFAULTS, **options}
    if "num_replicas" in options:
        del values["autoscaling_config"]
    if models_open is None:
        deployment: Any = serve.deployment(**values)(FusionReplica)
        return deployment.bind(flags, open_engines)
    if models_open < 1:
        raise InvalidInput("models_open", str(models_open), "1 or more, or left out: all")
    from crossfuse_server.ray_serve.multiplexing import multiplexed_replica

    deployment = serve.deployment(**values)(multiplexed_replica(models_open))
    return deployment.bind(flags)


def _flags(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a config file as those of the command line: with paths that are paths."""
    kinds = {entry.name: setting_type(entry) for entry in fields(ServerSettings)}
    for name, value in settings.items():
        if name not in kinds:
            raise UnknownName("setting in args", name, kinds)
        if name in INSIDE:
            raise InvalidInput(
                name, repr(value), "nothing: Ray's proxies listen, see its own options"
            )
    return {name: Path(value) if kinds[name] is Path else value for name, value in settings.items()}
