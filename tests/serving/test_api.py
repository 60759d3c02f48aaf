"""HTTP answers: the same numbers as `stages.predict`, on every packaged model."""

from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from stages.serving.app import create_app
from stages.serving.champion import Champions, find_bundles

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def client() -> TestClient:
    return TestClient(create_app(Champions(find_bundles([ROOT / "bundles"]))))


def test_every_bundle_answers_for_its_example(client: TestClient) -> None:
    for model in client.get("/models").json()["models"]:
        rows = pl.read_csv(ROOT / "bundles" / model["name"] / "example.csv", infer_schema=False)
        answered = client.post(f"/models/{model['name']}/predict", json={"rows": rows.to_dicts()})
        assert answered.status_code == 200
        assert len(answered.json()["answers"]) == len(rows)
