"""The dashboard and the alerts ask for metrics that a server has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.metrics import render

# What Prometheus itself knows of every target.
OF_PROMETHEUS = {"up"}

FUNCTIONS = {
    *("sum", "min", "max", "avg", "count", "by", "on", "and", "or", "rate", "increase"),
    *("histogram_quantile", "label_values"),
}


@pytest.fixture(scope="module")
def known(start_server: Callable[..., Any], make: Any) -> Iterator[dict[str, set[str]]]:
    """Every name a server has samples of, with its labels."""
    running = start_server(max_streams=3)
    running.fuse(make.request())
    running.refusal(make.request(vis=pb.Image()))
    stream = running.stream(frame_deadline_us=1)
    stream.frame(0, make.raw(make.ir()), make.raw(make.vis()))
    stream.half_close()
    assert stream.rest()[0][0].WhichOneof("outcome") == "dropped"
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(render(running.server).decode()):
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    yield names
    running.end()


def selectors_of(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics a query names, each with the labels it chooses by."""
    query = re.sub(r"\b(by|on)\s*\([^)]*\)", " ", query)
    query = re.sub(r"label_values\((.*), \w+\)", r"\1", query)
    for name, braces in re.findall(r"([A-Za-z_:][A-Za-z0-9_:]*)\s*(\{[^}]*\})?", strip(query)):
        if name in FUNCTIONS:
            continue
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", braces))


def strip(query: str) -> str:
    """Without ranges and what stands in quotes."""
    return re.sub(r'"[^"]*"', '""', re.sub(r"\[[^\]]*\]", "", query))


def grouped_by(query: str) -> set[str]:
    found = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query)
    return {label.strip() for labels in found for label in labels.split(",")}


def check(query: str, known: dict[str, set[str]]) -> None:
    selectors = list(selectors_of(query))
    assert selectors, query
    labels = {"instance", "job"}
    for name, chosen in selectors:
        assert name in known or name in OF_PROMETHEUS, f"{name} in {query}"
        labels |= known.get(name, set())
        assert chosen <= known.get(name, set()) | {"instance", "job"}, f"{name} in {query}"
    assert grouped_by(query) <= labels, query


def test_the_dashboard(root: Path, known: dict[str, set[str]]) -> None:
    board = json.loads((root / "deploy/grafana/crossfuse.json").read_text(encoding="utf-8"))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(queries) > 20
    for query in queries:
        check(query, known)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            check(variable["query"]["query"], known)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps(board["panels"])))
    assert used == variables


def test_the_panels_lie_side_by_side(root: Path) -> None:
    board = json.loads((root / "deploy/grafana/crossfuse.json").read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


def test_the_alerts(root: Path, known: dict[str, set[str]]) -> None:
    found = yaml.safe_load((root / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))
    rules = [rule for group in found["groups"] for rule in group["rules"]]
    assert len(rules) >= 8
    for rule in rules:
        check(rule["expr"], known)
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        told = re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))
        kept = grouped_by(rule["expr"])
        if "sum by" in rule["expr"]:  # other labels are gone
            assert set(told) <= kept, rule["alert"]
    names = [rule["alert"] for rule in rules]
    assert len(names) == len(set(names))


def test_the_scrape_example(root: Path) -> None:
    folder = root / "deploy/prometheus"
    found = yaml.safe_load((folder / "prometheus.yaml").read_text(encoding="utf-8"))
    assert all((folder / name).is_file() for name in found["rule_files"])
    (scraped,) = found["scrape_configs"]
    alerts = (folder / "alerts.yaml").read_text(encoding="utf-8")
    jobs = set(re.findall(r'job="(\w+)"', alerts))
    assert jobs == {scraped["job_name"]}


def test_the_documentation(root: Path, known: dict[str, set[str]]) -> None:
    page = (root / "docs/observability.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:crossfuse|nv_inference|process)_\w+)`", page):
        assert name in known or f"{name}_count" in known, name
    families = {re.sub("_(bucket|count|sum)$", "", name) for name in known}
    ours = {name for name in families if name.startswith("crossfuse_")}
    assert ours <= {*re.findall(r"\w+", page)}


def test_a_query_that_names_nothing_is_found(known: dict[str, set[str]]) -> None:
    for query in (
        "sum(rate(crossfuse_nothing_total[5m]))",
        'crossfuse_model_state{flavour="x"}',
        "sum by (flavour) (crossfuse_pending_pairs)",
    ):
        with pytest.raises(AssertionError):
            check(query, known)
