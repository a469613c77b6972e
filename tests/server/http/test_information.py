"""What the server says of itself over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crossfuse_server.http.history import SAMPLES, LatencyHistory, quantile
from crossfuse_server.http.page_files import PAGES
from crossfuse_server.observations import BUCKETS, Observation, Observations


def test_models(http: Any, eventually: Callable[..., None]) -> None:
    def models() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = http.get("/v1/models").json()["models"]
        return found

    eventually(lambda: {model["state"] for model in models()} == {"serving"})
    default, *others = models()
    assert (default["name"], default["version"], default["is_default"]) == ("mean", "1", True)
    assert (default["precision"], default["devices"]) == ("fp32", ["cpu"])
    assert len(default["sha256"]) == 64
    assert [(m["name"], m["version"]) for m in others] == [("mean", "2"), ("other", "1")]


def test_state(http: Any) -> None:
    state = http.get("/v1/state").json()
    info = http.running.info()
    assert state["version"] == info.version
    assert state["state"] == "serving"
    assert state["limits"]["max_pixels"] == info.limits.max_pixels == 65536
    assert len(state["models"]) == 3
    assert state["history"]["seconds"] == 2.0


def test_what_waits_is_told(
    serve_http: Callable[..., Any], gated: Any, eventually: Callable[..., None], make: Any
) -> None:
    http = serve_http(gated)
    calls = [http.running.stub.Fuse.future(make.request(), timeout=60) for _ in range(6)]
    gated.wait_for_picture()
    eventually(lambda: http.get("/v1/state").json()["waiting"] >= 1)
    gated.let_through()
    for call in calls:
        call.result()
    assert http.get("/v1/state").json()["waiting"] == 0


def test_metrics(http: Any) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    http.fuse()
    answer = http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name for family in parser.text_string_to_metric_families(answer.text)}
    assert any(name.startswith("crossfuse_") for name in families)


def test_openapi_is_complete(http: Any) -> None:
    """Every route is described, with a summary, its errors, and objects that exist."""
    api = http.get("/openapi.json").json()
    assert set(api["paths"]) == {
        *("/healthz", "/readyz", "/metrics", "/v1/fuse", "/v1/models", "/v1/state"),
        *("/v1/streams", "/v1/streams/{number}/view", "/v1/samples"),
        "/v1/samples/{name}/{picture}",
    }
    for path, methods in api["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            assert operation["description"], path
            assert "422" not in operation["responses"], path
            probe = path in ("/healthz", "/readyz")
            assert ("401" in operation["responses"]) is not probe, path
            assert ("security" in operation) is not probe, path
    fields = api["paths"]["/v1/fuse"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert set(fields["schema"]["properties"]) == {
        *("ir", "vis", "model", "version", "encoding", "quality", "ir_mapping"),
        *("polarity", "homography", "output_color"),
    }


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_load_nothing_from_elsewhere(path: str, http: Any) -> None:
    page = http.get(path)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for wrong in ("http://", "https://", "<script>", " onclick", " style=", "//cdn"):
        assert wrong not in page.text
    assert http.get(path, **{"If-None-Match": page.headers["ETag"]}).status_code == 304


def test_samples(http: Any, root: Any) -> None:
    (sample,) = http.get("/v1/samples").json()["samples"]
    for name in ("ir", "vis"):
        picture = http.get(sample[name])
        assert picture.headers["Content-Type"] == "image/png"
        assert picture.content == (root / f"crossfuse/assets/sample/{name}.png").read_bytes()
    assert http.get("/v1/samples/nope/ir").json()["error"]["message"].endswith("valid: street")
    assert http.get("/v1/samples/street/x").json()["error"]["code"] == "INVALID_ARGUMENT"


def test_unknown_paths_and_methods(http: Any) -> None:
    assert http.get("/nowhere").json()["error"]["code"] == "NOT_FOUND"
    answer = http.get("/v1/fuse")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["error"]["message"].startswith("GET: got Method Not Allowed; valid: ")


def test_a_quantile_lies_in_its_class() -> None:
    counts = [0] * (len(BUCKETS) + 1)
    assert quantile(counts, 0.5) is None
    counts[3] = 10
    assert quantile(counts, 0.5) == pytest.approx((BUCKETS[2] + BUCKETS[3]) / 2)
    assert quantile(counts, 1.0) == BUCKETS[3]
    counts[-1] = 90
    assert quantile(counts, 0.99) == BUCKETS[-1]


def observed(outcome: str = "OK", **seconds: Any) -> Observation:
    return Observation(model="mean", version="1", protocol="http", outcome=outcome, **seconds)


def test_the_history_tells_what_happened_between_two_looks() -> None:
    observations = Observations()
    observations.declare("mean", "1")
    observations.add(observed(total=9.0))
    history = LatencyHistory(observations)
    history.look()
    assert history.read().models == {}, "nothing happened since it was made"
    for _ in range(4):
        observations.add(observed(decode=0.001, queue=0.002, infer=0.03, encode=0.004, total=0.037))
    observations.add(observed("INTERNAL"))
    observations.add(observed("DROPPED", drop_reason="overrun"))
    history.look()
    history.look()
    curves = history.read().models["mean:1"]
    assert curves.infer_ms == [None, pytest.approx(30), None]
    assert curves.queue_ms[1] == pytest.approx(2)
    assert curves.p50_ms[1] == pytest.approx(37, abs=4)
    assert curves.pairs_per_second[::2] == [0, 0]
    assert curves.pairs_per_second[1] == pytest.approx(4 * curves.failed_per_second[1])
    assert curves.dropped_per_second == curves.failed_per_second, "they are counted apart"
    for _ in range(SAMPLES):
        history.look()
    assert len(history.read().times) == SAMPLES
    assert history.read().models == {}, "what is over is forgotten"
