"""An MLflow server, spoken to over its documented REST API: https://mlflow.org/docs/latest/rest-api.html

The API has been the same since MLflow 1 and is the only part of it that this project needs.  MLflow's own client
would bring 90 packages, some of which contradict the lock, for what are eight calls here.

``MLFLOW_TRACKING_TOKEN``, or ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``, are sent where they are
set, as MLflow's client does.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from stages.sources.locations import shown
from stages.workspace.errors import UserError

API = "api/2.0/mlflow"
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
PARAMS_A_CALL, METRICS_A_CALL = 100, 1000  # the API refuses more
LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG = 250, 6000, 5000

Point = tuple[str, float, int]
"""A metric's name, value and step."""


class MlflowServer:
    """One server; every call either succeeds or raises a `UserError` that says what the server said."""

    def __init__(self, address: str, timeout_s: float = 30.0) -> None:
        self.address, self.timeout_s = address.rstrip("/"), timeout_s
        self.session = requests.Session()
        self.session.auth = _credentials() or self.session.auth

    def open_experiment(self, name: str) -> str:
        """The id of an experiment, which is created when the server has none of that name."""
        found = self._call("GET", "experiments/get-by-name", {"experiment_name": name}, absent_is_none=True)
        if found is None:
            new = {"name": name, "tags": [{"key": "mlflow.experimentKind", "value": "custom_model_development"}]}
            return str(self._call("POST", "experiments/create", new)["experiment_id"])
        return str(found["experiment"]["experiment_id"])

    def open_run(self, experiment: str, tag: str, value: str, started_ms: int) -> dict[str, Any]:
        """What the server knows of the run with this tag, which is created when there is none."""
        wanted = {"experiment_ids": [experiment], "filter": f"tags.`{tag}` = '{value}'", "max_results": 1}
        if runs := self._call("POST", "runs/search", wanted).get("runs"):
            return dict(runs[0])
        tags = [{"key": tag, "value": value}]
        new = {"experiment_id": experiment, "start_time": started_ms, "tags": tags}
        return dict(self._call("POST", "runs/create", new)["run"])

    def log(
        self, run: Mapping[str, Any], params: Mapping[str, str], metrics: Sequence[Point], tags: Mapping[str, str]
    ) -> None:
        """Write parameters, metrics and tags; every metric at the run's start, so that repeating it adds nothing."""
        run_id, at = run["info"]["run_id"], int(run["info"]["start_time"])
        points = [{"key": name, "value": x, "step": step, "timestamp": at} for name, x, step in metrics]
        pairs = [{"key": key[:LONGEST_KEY], "value": text[:LONGEST_PARAM]} for key, text in params.items()]
        labels = [{"key": key, "value": text[:LONGEST_TAG]} for key, text in tags.items()]
        for some in _batches(pairs, PARAMS_A_CALL):
            self._call("POST", "runs/log-batch", {"run_id": run_id, "params": some})
        for some in _batches(points, METRICS_A_CALL):
            self._call("POST", "runs/log-batch", {"run_id": run_id, "metrics": some})
        if labels:
            self._call("POST", "runs/log-batch", {"run_id": run_id, "tags": labels})

    def log_dataset(self, run: Mapping[str, Any], name: str, digest: str, source: str) -> None:
        """Say which rows the run is about: the column `Dataset` of MLflow's table, by which runs can be grouped."""
        dataset = {"name": name, "digest": digest, "source_type": "dvc", "source": source}
        self._call("POST", "runs/log-inputs", {"run_id": run["info"]["run_id"], "datasets": [{"dataset": dataset}]})

    def put_file(self, run: Mapping[str, Any], name: str, content: bytes) -> None:
        """Write one artifact through the server."""
        path = quote(f"{urlsplit(run['info']['artifact_uri']).path.strip('/')}/{name}")
        answer = self._send("PUT", f"{ARTIFACTS}/{path}", data=content)
        if not answer.ok:
            raise self._refused(f"HTTP {answer.status_code} to {name}{_words(_json(answer))}", answer.status_code)

    def end_run(self, run: Mapping[str, Any], name: str | None = None) -> None:
        """Mark the run as finished, and name it; without a name it keeps the one it has."""
        info = run["info"]
        end = {"run_id": info["run_id"], "status": "FINISHED", "end_time": info["start_time"]}
        self._call("POST", "runs/update", {**end, **({"run_name": name} if name else {})})

    def page(self, run: Mapping[str, Any]) -> str:
        """Where people look at a run."""
        info = run["info"]
        return f"{shown(self.address)}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}"

    def _call(self, method: str, path: str, body: Mapping[str, Any], absent_is_none: bool = False) -> Any:
        """The JSON object that the server answers."""
        answer = self._send(method, f"{API}/{path}", **{"params" if method == "GET" else "json": body})
        told = _json(answer)
        if absent_is_none and told.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        if not answer.ok or (not told and answer.content.strip() != b"{}"):
            raise self._refused(f"HTTP {answer.status_code} to {path}{_words(told)}", answer.status_code)
        return told

    def _send(self, method: str, path: str, **content: Any) -> requests.Response:
        try:
            return self.session.request(method, f"{self.address}/{path}", timeout=self.timeout_s, **content)
        except requests.RequestException as error:
            raise self._refused(_reason(error)) from None

    def _refused(self, found: str, status: int | None = None) -> UserError:
        step = "start it (docs/tracking.md), or correct `tracking.mlflow` in params/tracking/"
        if status in (401, 403):
            step = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        elif status is not None:
            step = "look at what the server logged"
        return UserError(f"an MLflow server that takes runs at {shown(self.address)}", found, step)


def keeps_files(run: Mapping[str, Any]) -> bool:
    """Whether the server takes artifacts itself; otherwise clients need the keys of its storage, which we have not."""
    return urlsplit(str(run["info"]["artifact_uri"])).scheme == "mlflow-artifacts"


def tags_of(run: Mapping[str, Any]) -> dict[str, str]:
    """The tags that the server had of a run when it was opened."""
    return {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}


def _credentials() -> Any:
    token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user:
        return user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    return _Bearer(token) if token else None


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _json(answer: requests.Response) -> dict[str, Any]:
    """The JSON object of an answer; an empty one where there is none, as from a server that is no MLflow."""
    try:
        content = answer.json()
    except requests.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _words(told: Mapping[str, Any]) -> str:
    return f": {told['error_code']}: {told.get('message')}" if "error_code" in told else ""


def _reason(error: requests.RequestException) -> str:
    """What went wrong, without the address (it may hold a password) and the objects that libraries print."""
    match error:
        case requests.exceptions.SSLError():
            return "its certificate is not trusted"
        case ValueError():  # how requests marks a malformed address
            return "no address of a web server, which begins with http:// or https://"
        case requests.ConnectTimeout() | requests.ReadTimeout():
            return "no answer in time"
        case requests.ConnectionError():
            return "no connection: nothing answers there"
        case _:
            return type(error).__name__


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
