"""Served forecasts are those of the command, are kept before they are told, and have a page that everybody can read."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi.testclient import TestClient
from playwright.sync_api import sync_playwright

from stages.forecast import main as forecast
from stages.forecasts.log import ForecastLog
from stages.models.bundle import PUBLISHED
from stages.serving.app import create_app
from stages.serving.champions import open_champions
from stages.serving.service import Service
from stages.state.requests import open_known
from stages.workspace.errors import UserError
from tests.browser import CHROMIUM, in_browser
from tests.serving.conftest import ROOT

BUNDLES = (ROOT / "bundles" / "weather", ROOT / "bundles" / "diabetes")
DAYS = ("2013-12-01", "2013-12-30")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of logs that has a history."""
    folder = tmp_path_factory.mktemp("forecasts")
    try:
        open_known(BUNDLES[0], str(folder / "none.sqlite"))
    except UserError as error:
        pytest.skip(f"{error.found}: `dvc repro` makes it")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        forecast("weather", "--log", str(folder / "weather.sqlite"), "--replay", *DAYS)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    champions = open_champions([*BUNDLES], folder / "kept")
    service = Service(champions, state=str(folder / "state.sqlite"), kept_forecasts=folder)
    with TestClient(create_app(service)) as client:
        yield client


def test_served_forecasts_are_kept_with_the_version_that_made_them(client: TestClient, folder: Path) -> None:
    told = client.get("/v2/models/weather/forecast").json()
    assert told["unit"] == "°F" and told["kept"] and len(told["forecasts"]) == 15
    kept = ForecastLog(folder / "weather.sqlite", "weather").read(
        datetime.fromisoformat(told["forecasts"][0]["made_at"][:-1])
    )
    assert set(kept["model"]) == {told["model"]["version"]}
    for each in told["forecasts"]:
        own = kept.filter((pl.col("series") == each["series"]) & (pl.col("horizon") == each["horizon"]))
        assert own["forecast"].item() == pytest.approx(each["forecast"], rel=1e-6)
        assert each["low"] <= each["median"] <= each["high"] and each["made_at"] < each["due_at"]
    again = client.get("/v2/models/weather/forecast").json()
    assert again["forecasts"] == told["forecasts"]


def test_a_log_that_cannot_be_written_costs_no_answer(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "weather.sqlite").write_text("no log " * 100)
    champions = open_champions([BUNDLES[0]], tmp_path / "kept")
    service = Service(champions, state=str(tmp_path / "state.sqlite"), kept_forecasts=tmp_path)
    with TestClient(create_app(service)) as client:
        told = client.get("/v2/models/weather/forecast").json()
        assert len(told["forecasts"]) == 15 and told["kept"] is False


def test_others_are_refused_as_problems(client: TestClient) -> None:
    for path in ("/v2/models/diabetes/forecast", "/v2/models/nosuch/forecast"):
        refused = client.get(path)
        assert refused.status_code == 404
        assert refused.headers["content-type"].startswith("application/problem+json")
    for path in ("/forecasts/diabetes", "/forecasts/nosuch", "/forecasts/weather?series=XXX&horizon=%3Cb%3E"):
        assert client.get(path).status_code == 404


def test_a_record_that_asks_several_questions_is_not_answered_as_one_row(client: TestClient) -> None:
    row = pl.read_csv(BUNDLES[0] / PUBLISHED, infer_schema=False).to_dicts()[0]
    refused = client.post("/models/weather/predict", json={"rows": [row]})
    assert refused.status_code == 422 and "several questions" in refused.json()["detail"]
    text = pl.DataFrame([row]).write_csv().encode()
    refused = client.post("/models/weather/predict-file", content=text, headers={"content-type": "text/csv"})
    assert refused.status_code == 422 and "several questions" in refused.json()["detail"]


def test_the_interface_tells_of_it(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert "/v2/models/weather/forecast" in paths and "/v2/models/diabetes/forecast" not in paths


def test_the_page_shows_forecasts_against_reality(client: TestClient) -> None:
    page = client.get("/forecasts/weather?series=LGA&horizon=6 h").text
    assert page.count('<svg class="plot"') == 3 and "LGA, 6 h ahead" in page
    assert 'class="truth"' in page and 'class="model band"' in page
    assert "What was forecast" in client.get("/").text
    assert "/forecasts/diabetes" not in client.get("/").text


@in_browser
def test_the_page_can_be_read_by_everybody(client: TestClient, tmp_path: Path) -> None:
    page = client.get("/forecasts/weather").text
    for name in ("style.css", "page.css"):
        sheet = client.get(f"/assets/{name}").text
        page = page.replace(f'<link rel="stylesheet" href="/assets/{name}">', f"<style>{sheet}</style>")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width, scheme in ((390, "dark"), (1280, "light")):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
            opened = context.new_page()
            opened.set_content(page)
            assert opened.evaluate("document.documentElement.scrollWidth") <= width
            assert Axe().run(opened).violations_count == 0
        browser.close()
