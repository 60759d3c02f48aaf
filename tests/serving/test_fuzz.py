"""Does the description of the API hold?  Requests drawn from it by schemathesis, valid and broken ones."""

import tomllib
from collections.abc import Sequence
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from stages.serving.app import ROUTERS
from tests.serving.conftest import ROOT, TASKS

LOOSE = ("infer", "predict-file")  # JSON Schema cannot say that tensors are as long as each other, or what a file holds


def fuzz(client: TestClient, requests: int, models: Sequence[str]) -> None:
    """So many requests of each kind for every operation on these models, each answer judged by schemathesis."""
    described: Any = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    for operation in (each.ok() for each in described.get_all_operations()):
        for mode in GenerationMode:
            if any(other in operation.path for other in TASKS if other not in models):
                continue
            if mode is GenerationMode.NEGATIVE and not operation.body:
                continue

            @settings(max_examples=requests, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                excluded = [positive_data_acceptance] if case.path.endswith(LOOSE) else []
                case.call_and_validate(excluded_checks=excluded)

            check()


def test_the_api_is_as_described(client: TestClient) -> None:
    fuzz(client, 5, ["binary"])


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_api_is_as_described_at_length(task: str, client: TestClient) -> None:
    fuzz(client, 60, [task])


def test_every_route_is_described(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]
    version = client.get("/v2/models/binary").json()["versions"][0]
    bare = {"/v2/models/{name}/forecast"}  # told of models that forecast alone: see test_forecasts.py
    bare |= {path.replace("/binary", "/{name}").replace(version, "{version}") for path in described}
    service = client.app.state.service  # type: ignore[attr-defined]
    every = [route for build in ROUTERS for route in build(service).routes]
    routes = {route.path for route in every if route.include_in_schema}  # type: ignore[attr-defined]  # pages are none
    assert len(routes) > 15
    assert {path for path in routes - bare if path.startswith(("/models", "/v2", "/metrics"))} == set()


def test_the_version_is_that_of_the_project(client: TestClient) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert client.get("/v2").json()["version"] == project["version"]


def test_the_page_of_the_api_needs_no_other_host(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "http://testserver/models/binary/predict" in page
    assert 'href="/docs.css"' in page and "https://" not in page and "<script" not in page and " style=" not in page
    assert client.get("/docs.css").headers["content-type"].startswith("text/css")


def test_the_card_is_text_for_programs_and_a_page_for_people(client: TestClient) -> None:
    assert client.get("/models/binary/card").text.startswith("# Model card")
    page = client.get("/models/binary/card", headers={"accept": "text/html"}).text
    assert "<h1>Model card" in page and "<table>" in page
