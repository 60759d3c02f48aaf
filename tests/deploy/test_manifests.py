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
KUSTOMIZED = ("dask", "kubernetes/base", "kubernetes/cycle", "kubernetes/overlays/dev", "kubernetes/overlays/prod")
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
    deployed = [each["spec"] for each in manifests if each["kind"] == "Deployment"]
    scheduled = [each["spec"]["jobTemplate"]["spec"] for each in manifests if each["kind"] == "CronJob"]
    return [each["template"]["spec"] for each in deployed + scheduled]


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
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
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


def test_a_cycle_runs_alone_starts_late_or_not_at_all_and_is_not_repeated_where_a_person_is_wanted() -> None:
    cron, settings, volume = loaded(DEPLOY / "kubernetes/cycle/cycle.yaml")
    spec, job = cron["spec"], cron["spec"]["jobTemplate"]["spec"]
    assert spec["concurrencyPolicy"] == "Forbid" and spec["startingDeadlineSeconds"] < 24 * 3600
    assert job["activeDeadlineSeconds"] < 24 * 3600 and job["template"]["spec"]["restartPolicy"] == "Never"
    assert job["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [1, 3]
    (pod,) = pods([cron])
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
    assert pod["initContainers"][0]["envFrom"][0]["configMapRef"]["name"] == settings["metadata"]["name"]


def test_the_clone_of_a_cycle_is_made_once_kept_up_to_date_and_refused_with_other_packages(tmp_path: Path) -> None:
    """The init container's own words, with git itself, and a `dvc` that only says what it was asked."""
    (pod,) = pods(loaded(DEPLOY / "kubernetes/cycle/cycle.yaml"))
    (clone,) = pod["initContainers"]
    published, line, environment = (tmp_path / name for name in ("published", "line", "environment"))
    for folder in (published, line, environment / "bin"):
        folder.mkdir(parents=True)
    (environment / "bin/dvc").write_text('#!/bin/sh\necho "dvc $*"\n', encoding="utf-8")
    (environment / "bin/dvc").chmod(0o755)
    (environment / "requirements.lock").write_text("a==1\n", encoding="utf-8")
    people = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    known = {"PATH": f"{environment / 'bin'}:/usr/bin:/bin", "REPOSITORY": str(published), "REMOTE": "s3://x", **people}

    def publish(text: str) -> None:
        (published / "requirements.lock").write_text(text, encoding="utf-8")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
            subprocess.run(["git", *words], cwd=published, env=known, check=True)

    def begin() -> "subprocess.CompletedProcess[str]":
        words = [*clone["command"], *clone["args"]]
        return subprocess.run(words, cwd=line, env=known, capture_output=True, text=True, check=False)

    publish("a==1\n")
    (line / "begun").mkdir()  # left by a clone that was killed
    first = begin()
    assert first.returncode == 0, first.stderr
    assert "dvc remote add --quiet --local --default pods s3://x" in first.stdout
    assert begin().returncode == 0 and not (line / "begun").exists()
    publish("a==22\n")
    refused = begin()
    assert refused.returncode == 1 and "requirements.lock" in refused.stderr
    (line / "clone/under-way").touch()  # a cycle that was killed: it goes on with the code that it began with
    publish("a==333\n")
    begin()
    assert (line / "clone/requirements.lock").read_text(encoding="utf-8") == "a==22\n"


def test_what_is_started_is_there() -> None:
    manifests = (*DEPLOY.glob("*.service"), *DEPLOY.glob("kubernetes/*/*.yaml"), *DEPLOY.glob("kubeflow/*.yaml"))
    texts = [path.read_text(encoding="utf-8") for path in (*manifests, *DOCKERFILES)]
    modules = {module for text in texts for module in re.findall(r"-m ((?:stages|tools)\.\w+)", text)}
    assert {"stages.serve", "stages.cycle", "tools.one_stage"} <= modules
    assert [module for module in modules if not (ROOT / f"{module.replace('.', '/')}.py").exists()] == []


UNITS = ("plumbline.service", "plumbline-cycle.service", "plumbline-cycle.timer")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_the_units_are_valid_and_give_what_they_start_little(tmp_path: Path) -> None:
    units = [tmp_path / name for name in UNITS]
    for unit in units:
        text = (DEPLOY / unit.name).read_text(encoding="utf-8")
        unit.write_text(text.replace("/opt/plumbline/.venv/bin/python", sys.executable), encoding="utf-8")
    said_by("systemd-analyze", "verify", *units)
    for unit in units[:2]:
        said_by("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
