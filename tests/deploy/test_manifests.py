"""What deploys the service, judged by those who will read it: a linter, schemas, Kubernetes' own rules, systemd."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
DOCKERFILES = sorted(DEPLOY.rglob("Dockerfile"))
KUSTOMIZED = ("dask", "kubernetes/base", "kubernetes/overlays/dev", "kubernetes/overlays/prod")
KUBERNETES = "1.35"
with_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")


def said_by(*command: str | Path) -> str:
    """What a program says; fails with it where the program does."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def loaded(path: Path) -> list[dict[str, Any]]:
    """The manifests in a file; a List counts as what is in it."""
    documents = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
    return [item for one in documents for item in (one["items"] if one["kind"] == "List" else [one])]


def pods(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in manifests if each["kind"] == "Deployment"]


def test_the_dockerfiles_please_the_linter() -> None:
    said_by(BIN / "hadolint", *DOCKERFILES)


def test_what_the_images_copy_travels_into_their_builds() -> None:
    texts = [dockerfile.read_text(encoding="utf-8") for dockerfile in DOCKERFILES]
    copied = {
        source
        for text in texts
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M)
        for source in line.split()[:-1]
    }
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert "*" in ignored
    assert [source for source in copied - {"bundles"} if not (ROOT / source).exists()] == []


def test_the_compose_file_fits_its_specification_and_names_files_that_are_there() -> None:
    said_by(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"].values()
    mounted = [volume.partition(":")[0] for service in services for volume in service.get("volumes", [])]
    assert [path for path in mounted if path.startswith(".") and not (DEPLOY / path).exists()] == []
    assert {path for path in mounted if not path.startswith(".")} == set(compose["volumes"])
    published = [port for service in services for port in service.get("ports", [])]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The manifests of each kustomization as a cluster would get them."""
    folder = tmp_path_factory.mktemp("rendered")
    paths = {name: folder / f"{name.replace('/', '-')}.yaml" for name in KUSTOMIZED}
    for name, path in paths.items():
        path.write_text(said_by("kubectl", "kustomize", DEPLOY / name), encoding="utf-8")
    return paths


def test_the_manifests_are_kubernetes() -> None:
    plain = [path for path in DEPLOY.glob("kubernetes/**/*.yaml") if path.name != "kustomization.yaml"]
    said_by(BIN / "kubernetes-validate", "--strict", "--no-warn", "-k", KUBERNETES, *plain)


@with_kubectl
def test_what_kustomize_makes_of_them_is_too(rendered: dict[str, Path]) -> None:
    said_by(BIN / "kubernetes-validate", "--strict", "--no-warn", "-k", KUBERNETES, *rendered.values())


@with_kubectl
@pytest.mark.parametrize("name", KUSTOMIZED)
def test_every_pod_keeps_the_restricted_standard(name: str, rendered: dict[str, Path]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, rule by rule."""
    for pod in pods(loaded(rendered[name])):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)
        assert [volume for volume in pod.get("volumes", []) if "hostPath" in volume] == []
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


@with_kubectl
@pytest.mark.parametrize("name", ["kubernetes/overlays/dev", "kubernetes/overlays/prod"])
def test_what_selects_pods_of_the_service_selects_them(name: str, rendered: dict[str, Path]) -> None:
    manifests = loaded(rendered[name])
    of_kind = {kind: [each for each in manifests if each["kind"] == kind] for kind in {m["kind"] for m in manifests}}
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in of_kind["Deployment"]]
    selectors = [
        *(each["spec"]["selector"] for each in of_kind["Service"]),
        *(each["spec"]["selector"]["matchLabels"] for each in of_kind["PodDisruptionBudget"]),
        *(each["spec"]["podSelector"]["matchLabels"] for each in of_kind["NetworkPolicy"]),
    ]
    assert [one for one in selectors if sum(one.items() <= each.items() for each in labels) != 1] == []
    scaled = of_kind["HorizontalPodAutoscaler"][0]["spec"]["scaleTargetRef"]["name"]
    assert scaled in [each["metadata"]["name"] for each in of_kind["Deployment"]]


def test_two_replicas_at_least_and_never_fewer_while_they_are_replaced() -> None:
    manifests = {each["kind"]: each["spec"] for each in loaded(DEPLOY / "kubernetes/base/serve.yaml") if "spec" in each}
    assert manifests["HorizontalPodAutoscaler"]["minReplicas"] >= 2
    assert "replicas" not in manifests["Deployment"]
    assert manifests["Deployment"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert manifests["PodDisruptionBudget"]["maxUnavailable"] == 1


def test_a_pod_is_taken_out_long_before_it_is_started_again() -> None:
    """Probes that flap kill what is merely busy: the liveness probe asks less, and is patient for a minute."""
    (serve,) = pods(loaded(DEPLOY / "kubernetes/base/serve.yaml"))[0]["containers"]
    ready, live = serve["readinessProbe"], serve["livenessProbe"]
    assert (ready["httpGet"]["path"], live["httpGet"]["path"]) == ("/v2/health/ready", "/v2/health/live")
    assert live["periodSeconds"] * live["failureThreshold"] >= 60
    assert ready["periodSeconds"] * ready["failureThreshold"] <= 10
    assert serve["startupProbe"]["periodSeconds"] * serve["startupProbe"]["failureThreshold"] >= 60
    assert serve["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_the_unit_is_valid_and_gives_the_service_little(tmp_path: Path) -> None:
    unit = tmp_path / "plumbline.service"
    text = (DEPLOY / "plumbline.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/plumbline/.venv/bin/python", sys.executable), encoding="utf-8")
    said_by("systemd-analyze", "verify", unit)
    said_by("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
