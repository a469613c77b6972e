"""The manifests: rendered, against the published schemas, and against the server they start."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from crossfuse._version import __version__
from crossfuse_deploy.kustomize import Resource, containers, read, render
from crossfuse_server.app import SERVICE
from crossfuse_server.settings import ENVIRONMENT_PREFIX, ServerSettings, load_settings

SCHEMAS = "1.37"
OF_OPERATORS = {"ServiceMonitor", "InferenceService"}
COMPONENTS = ("tls", "tokens", "models")


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "deploy" / "kubernetes"


@pytest.fixture(scope="module")
def everything(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kustomization of the GPU overlay with all components, as a user writes one."""
    copied = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(folder, copied)
    own = copied / "mine"
    own.mkdir()
    content = {
        "resources": ["../overlays/gpu"],
        "components": [f"../components/{name}" for name in COMPONENTS],
    }
    (own / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return own


@pytest.fixture(params=["overlays/cpu", "overlays/gpu", "mine"])
def rendered(request: pytest.FixtureRequest, folder: Path, everything: Path) -> list[Resource]:
    return render(everything.parent / request.param)


def one(resources: list[Resource], kind: str, name: str = "crossfuse") -> Resource:
    (found,) = [r for r in resources if (r["kind"], r["metadata"]["name"]) == (kind, name)]
    return found


def pod(resources: list[Resource]) -> dict[str, Any]:
    spec: dict[str, Any] = one(resources, "Deployment")["spec"]["template"]["spec"]
    return spec


def server(resources: list[Resource]) -> dict[str, Any]:
    (container,) = containers(one(resources, "Deployment"))
    return container


def test_they_keep_the_published_schemas(rendered: list[Resource]) -> None:
    for resource in rendered:
        if resource["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(resource, SCHEMAS, strict=True)


def test_the_schemas_refuse_what_is_wrong(folder: Path) -> None:
    resource = one(render(folder / "overlays" / "cpu"), "Deployment")
    resource["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource, SCHEMAS, strict=True)


def test_rendering_agrees_with_kustomize(everything: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")

    def ordered(resources: list[Resource]) -> list[Resource]:
        return sorted(resources, key=lambda r: (r["kind"], r["metadata"]["name"]))

    for path in (everything, everything.parent / "overlays" / "cpu"):
        command = ["kubectl", "kustomize", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ordered(render(path)) == ordered(list(yaml.safe_load_all(done.stdout)))


def test_selectors_find_the_pods(rendered: list[Resource]) -> None:
    labels = one(rendered, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        one(rendered, "Deployment")["spec"]["selector"]["matchLabels"],
        one(rendered, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(rendered, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        one(rendered, "Service")["spec"]["selector"],
        one(rendered, "Service", "crossfuse-pods")["spec"]["selector"],
        pod(rendered)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)
    # The monitor must find one service only, or every pod would be scraped twice.
    wanted = one(rendered, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    services = [r for r in rendered if r["kind"] == "Service"]
    found = [s for s in services if wanted <= s["metadata"]["labels"].items()]
    assert found == [one(rendered, "Service")]
    target = one(rendered, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert one(rendered, target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    assert (
        pod(rendered)["serviceAccountName"] == one(rendered, "ServiceAccount")["metadata"]["name"]
    )


def test_ports_are_those_the_server_opens(rendered: list[Resource]) -> None:
    settings = settings_of(server(rendered))
    ports = {port["name"]: port["containerPort"] for port in server(rendered)["ports"]}
    assert ports == {"grpc": settings.port, "http": settings.http_port}
    for service in (r for r in rendered if r["kind"] == "Service"):
        for port in service["spec"]["ports"]:
            assert port["targetPort"] == port["name"]
            assert port["port"] == ports[port["name"]]
    assert one(rendered, "Service", "crossfuse-pods")["spec"]["clusterIP"] == "None"
    rules = one(rendered, "NetworkPolicy")["spec"]
    assert {port["port"] for rule in rules["ingress"] for port in rule["ports"]} == set(ports)
    assert all(rule["from"] for rule in rules["ingress"]), "an empty `from` lets everybody in"
    assert rules["egress"] == []
    (endpoint,) = one(rendered, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["port"] in {p["name"] for p in one(rendered, "Service")["spec"]["ports"]}


def test_probes_ask_what_the_server_answers(rendered: list[Resource]) -> None:
    container = server(rendered)
    encrypted = any(entry["name"].endswith("TLS_CERT") for entry in container["env"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[name]
        if encrypted:
            assert "grpc" not in probe, "the kubelet speaks no TLS there"
            assert (probe["httpGet"]["scheme"], probe["httpGet"]["port"]) == ("HTTPS", "http")
            path = "/healthz" if name == "livenessProbe" else "/readyz"
            assert probe["httpGet"]["path"] == path
        else:
            assert probe["grpc"]["port"] == ports["grpc"]
            assert probe["grpc"].get("service", "") in ("", SERVICE)
    seconds = settings_of(container).drain_seconds
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(rendered)["terminationGracePeriodSeconds"] > seconds + pause


def test_the_container_has_no_rights(rendered: list[Resource]) -> None:
    of_pod, of_container = pod(rendered)["securityContext"], server(rendered)["securityContext"]
    assert of_pod["runAsNonRoot"]
    assert of_pod["runAsUser"] == of_pod["runAsGroup"] == 10001
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(rendered)["automountServiceAccountToken"] is False
    mounted = {mount["name"] for mount in server(rendered)["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod(rendered)["volumes"]}
    assert {"limits", "requests"} <= server(rendered)["resources"].keys()


def test_images_are_those_of_this_version(rendered: list[Resource], folder: Path) -> None:
    (kserve,) = read(folder / "kserve" / "inferenceservice.yaml")
    for container in (server(rendered), *containers(kserve)):
        assert re.fullmatch(rf"crossfuse:{re.escape(__version__)}-(cpu|gpu)", container["image"])


def files_with_environments(root: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    for path in sorted((root / "deploy" / "kubernetes").rglob("*.yaml")):
        for resource in read(path):
            for container in containers(resource):
                yield path, environment_of(container)


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    entries = container.get("env", [])
    return {entry["name"]: entry["value"] for entry in entries if "$patch" not in entry}


def settings_of(container: dict[str, Any]) -> ServerSettings:
    """What the server reads; files of secrets are not here, so they count as not given."""
    environment = environment_of(container)
    files = {name for name, value in environment.items() if value.startswith(("/tls", "/tokens"))}
    given = {name: value for name, value in environment.items() if name not in files}
    return load_settings({"insecure": True}, environment=given)


def test_every_variable_is_a_setting(root: Path) -> None:
    known = {ENVIRONMENT_PREFIX + entry.name.upper() for entry in fields(ServerSettings)}
    seen = set()
    for path, environment in files_with_environments(root):
        ours = {name for name in environment if name.startswith(ENVIRONMENT_PREFIX)}
        assert ours <= known, path
        assert environment.keys() - ours <= {"CROSSFUSE_ENGINES"}, path
        seen |= ours
    assert len(seen) >= 8


def test_plain_text_is_said_aloud_and_tls_ends_it(folder: Path, everything: Path) -> None:
    name = ENVIRONMENT_PREFIX + "INSECURE"
    plain = environment_of(server(render(folder / "overlays" / "cpu")))
    encrypted = environment_of(server(render(everything)))
    assert plain[name] == "true"
    assert name not in encrypted
    assert {f"{ENVIRONMENT_PREFIX}TLS_CERT", f"{ENVIRONMENT_PREFIX}TLS_KEY"} <= encrypted.keys()


def test_kserve_is_given_the_grpc_port(folder: Path) -> None:
    (service,) = read(folder / "kserve" / "inferenceservice.yaml")
    (container,) = containers(service)
    assert container["name"] == "kserve-container"
    (port,) = container["ports"]
    assert (port["name"], port["containerPort"]) == ("h2c", settings_of(container).port)
    assert container["readinessProbe"]["grpc"] == {
        "port": port["containerPort"],
        "service": SERVICE,
    }
    # The pod inside is a pod like any other, so its part keeps the schema of pods.
    inside = {key: service["spec"]["predictor"][key] for key in ("containers", "volumes")}
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "inside"}, "spec": inside},
        SCHEMAS,
        strict=True,
    )
