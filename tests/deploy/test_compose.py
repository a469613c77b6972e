"""compose.yaml: what it starts exists, what it sets are settings, and nobody outside gets in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from crossfuse._version import __version__
from crossfuse_deploy.dockerfile import read_dockerfile
from crossfuse_server.settings import ENVIRONMENT_PREFIX, load_settings


@pytest.fixture(scope="module")
def services(root: Path) -> dict[str, dict[str, Any]]:
    content = yaml.safe_load((root / "compose.yaml").read_text())
    found: dict[str, dict[str, Any]] = content["services"]
    named = {
        volume.partition(":")[0]
        for service in found.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert named == set(content["volumes"])
    return found


def test_containers_have_no_rights(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "published to this machine alone"
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]+", service["image"])


def test_the_server_is_this_version_with_valid_settings(
    services: dict[str, dict[str, Any]], root: Path
) -> None:
    server = services["server"]
    build = server["build"]
    assert server["image"] == f"crossfuse:{__version__}-{build['target']}"
    assert build["target"] in read_dockerfile(root / "Dockerfile", build["args"])
    environment = server["environment"]
    assert all(name.startswith(ENVIRONMENT_PREFIX) for name in environment)
    everywhere = {"host": "0.0.0.0"}  # noqa: S104 - as the image says
    settings = load_settings(everywhere, environment=environment)
    published = {int(port.split(":")[1]) for port in server["ports"]}
    assert published == {settings.port, settings.http_port}
    assert int(server["stop_grace_period"].removesuffix("s")) > settings.drain_seconds


def test_what_is_mounted_is_there(services: dict[str, dict[str, Any]], root: Path) -> None:
    for service in services.values():
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert (root / source).exists(), source
                assert rest.endswith(":ro")


def test_prometheus_reads_the_server(services: dict[str, dict[str, Any]], root: Path) -> None:
    mounted = {
        inside: local
        for local, inside, _ in (v.split(":") for v in services["prometheus"]["volumes"][:2])
    }
    name = services["prometheus"]["command"][0].partition("=")[2]
    config = yaml.safe_load((root / mounted[name]).read_text())
    (job,) = config["scrape_configs"]
    port = services["server"]["environment"][f"{ENVIRONMENT_PREFIX}HTTP_PORT"]
    assert job["static_configs"] == [{"targets": [f"server:{port}"]}]
    (rules,) = config["rule_files"]
    alerts = (root / mounted[f"/etc/prometheus/{rules}"]).read_text()
    assert {job["job_name"]} >= set(re.findall(r'job="(\w+)"', alerts))


def test_grafana_finds_the_dashboard_and_its_source(
    services: dict[str, dict[str, Any]], root: Path
) -> None:
    folder = root / "deploy" / "grafana"
    read = [yaml.safe_load(path.read_text()) for path in sorted(folder.rglob("*.yaml"))]
    (provider,) = next(content["providers"] for content in read if "providers" in content)
    (source,) = next(content["datasources"] for content in read if "datasources" in content)
    dashboard = next(
        v for v in services["grafana"]["volumes"] if v.startswith("./deploy/grafana/c")
    )
    local, inside, _ = dashboard.split(":")
    assert Path(inside).parent == Path(provider["options"]["path"])
    assert services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == inside
    json.loads((root / local).read_text())
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
