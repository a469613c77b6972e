"""The autoscaler asks for a metric that the adapter makes from one that the server has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossfuse_deploy.kustomize import read, render
from crossfuse_server.app import FusionServer
from crossfuse_server.metrics import render as metrics_of
from crossfuse_server.settings import load_settings


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What a server says that fused nothing yet."""
    monkeypatch.chdir(tmp_path)  # away from the shipped models, which nobody asks for here
    server = FusionServer(load_settings({"port": 0}, environment={}))
    server.start()
    yield metrics_of(server).decode()
    server.stop()


def test_the_autoscaler_is_given_the_wait_for_an_engine(root: Path, metrics: str) -> None:
    folder = root / "deploy" / "kubernetes"
    (values,) = read(folder / "prometheus-adapter" / "values.yaml")
    (rule,) = values["rules"]["custom"]
    resources = render(folder / "overlays" / "cpu")
    (scaler,) = [r for r in resources if r["kind"] == "HorizontalPodAutoscaler"]
    (asked,) = scaler["spec"]["metrics"]
    assert asked["pods"]["metric"]["name"] == rule["name"]["as"]
    named = set(re.findall(r"crossfuse_\w+", rule["seriesQuery"] + rule["metricsQuery"]))
    families = {name.removesuffix("_sum").removesuffix("_count") for name in named}
    assert families == {"crossfuse_queue_seconds"}
    assert "# TYPE crossfuse_queue_seconds histogram" in metrics
    assert "<<.LabelMatchers>>" in rule["metricsQuery"]
    assert rule["metricsQuery"].count("(") == rule["metricsQuery"].count(")")
