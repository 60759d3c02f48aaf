"""A picture chosen in the form is answered; what is none is refused at its field, within limits."""

import base64
import io
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from stages import evaluate, package, train
from stages.models.bundle import open_bundle
from stages.serving.app import create_app
from stages.serving.champions import open_champions
from stages.serving.service import Service
from tests.browser import CHROMIUM
from tests.serving.conftest import planted
from tests.serving.pages import Page
from tests.stages.test_cnn import NAME, SETTINGS, SIDE, bars, prepare

__all__ = ["planted"]
pytestmark = pytest.mark.networks


@pytest.fixture(scope="module")
def bundle(planted, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    with chdir(folder):
        prepare(planted, folder, **SETTINGS)
        for stage in (train, evaluate, package):
            stage.main(NAME)
    return folder / "bundles" / NAME


@pytest.fixture(scope="module")
def client(bundle: Path, tmp_path_factory) -> Iterator[TestClient]:
    service = Service(open_champions([bundle], tmp_path_factory.mktemp("kept")))
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def file_of(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


PIXELS = bars()["picture"].to_numpy().reshape(-1, SIDE, SIDE)[3]


def ask(client: TestClient, content: bytes, typed: str = "") -> tuple[int, str]:
    answer = client.post(f"/models/{NAME}", data={"picture": typed}, files={"picture": ("a.png", content, "image/png")})
    return answer.status_code, answer.text


def test_the_form_shows_an_example_and_takes_a_file(client):
    page = Page(client.get(f"/models/{NAME}").text)
    [chosen] = page.all("input", type="file", name="picture")
    assert chosen.attributes["accept"] == "image/png,image/jpeg"
    assert [form for form in page.all("form") if form.attributes.get("enctype") == "multipart/form-data"]
    [image] = [each for each in page.all("img") if each.attributes["src"].startswith("data:image/png;base64,")]
    content = base64.b64decode(image.attributes["src"].partition(",")[2])
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (SIDE, SIDE)


@pytest.mark.parametrize("kind", ["grey", "colour", "see-through"])
def test_a_chosen_file_is_answered_as_the_bundle_scores_it_and_counts_instead_of_the_example(client, bundle, kind):
    pixels = {"grey": PIXELS, "colour": np.stack([PIXELS] * 3, axis=2),
              "see-through": np.stack([PIXELS] * 3 + [np.full_like(PIXELS, 255)], axis=2)}[kind]  # fmt: skip
    example = base64.b64encode(file_of(255 - PIXELS)).decode()
    status, page = ask(client, file_of(pixels), typed=example)
    scores = open_bundle(bundle).model.predict(bars()[3:4])
    assert status == 200
    assert f"{100 * scores.max():.0f}" in Page(page).by_id("answer-title").text or scores.max() > 0.99
    assert base64.b64encode(file_of(pixels)).decode() in page


def test_without_a_file_the_example_counts(client):
    status, page = ask(client, b"", typed=base64.b64encode(file_of(PIXELS)).decode())
    assert status == 200 and 'id="answer-title"' in page


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no picture", "no PNG or JPEG file"),
        (file_of(PIXELS)[:60], "no PNG or JPEG file"),
        (file_of(PIXELS, "BMP"), "no PNG or JPEG file"),
        (file_of(PIXELS[:1, :1]), "1 rows and 1 columns"),
        (file_of(np.zeros((9000, 9000), np.uint8)), "9000 by 9000 pixels"),  # 80 KB that unpack into 81 MB
    ],
)
def test_what_is_no_picture_for_the_model_is_refused_at_its_field(client, content, told):
    status, text = ask(client, content)
    page = Page(text)
    assert status == 422
    [error] = page.all("p", **{"class": "error"})
    assert told in error.text
    assert not [each for each in page.all("img") if each.attributes.get("src")], "nothing of it is sent back"


def test_a_body_beyond_the_limit_is_refused(client):
    status, _ = ask(client, bytes(5 << 20))
    assert status == 413


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_picture_that_is_chosen_in_a_browser_is_shown_and_answered_at_once(bundle, serve, tmp_path):
    from playwright.sync_api import expect, sync_playwright

    (tmp_path / "a.png").write_bytes(file_of(PIXELS))
    url = serve(bundle).url
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 900})
        logged = []
        page.on("console", lambda said: logged.append(said.text))
        page.goto(f"{url}/models/{NAME}?example=2")
        page.set_input_files("input[type=file][name=picture]", str(tmp_path / "a.png"))
        shown = base64.b64encode(file_of(PIXELS)).decode()
        expect(page.locator(".picture img")).to_have_attribute("src", f"data:image/png;base64,{shown}", timeout=30_000)
        expect(page.locator("#program-body")).to_contain_text(shown[:60], timeout=30_000)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert logged == []
        browser.close()
