"""The exported page in a real browser: it reads digits as the bundle does, and asks nobody."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from stages import export
from stages.datasets.digits import featurize
from stages.exports.graphs import graph_of
from stages.exports.parity import code_rows
from stages.exports.sweep import made_rows
from stages.models.bundle import PUBLISHED, open_bundle
from tests.browser import CHROMIUM, brightness, in_browser
from tests.exports.conftest import planted_sets

pytestmark = [pytest.mark.networks, in_browser]
pytest.importorskip("onnxruntime", reason="no optional layer: `make networks`")
ROOT = Path(__file__).parents[2]
FAMILIES = ("boosting", "forest", "bagging", "lightgbm", "linear", "network", "blend")
SCORE = "counts => import('/page.js').then(page => page.score(counts)).then(scores => Array.from(scores))"
RUN = """async ([name, rows]) => {
  const ort = await import('/ort.wasm.bundle.min.mjs');
  const session = await ort.InferenceSession.create(name);
  const inputs = new ort.Tensor('float32', Float32Array.from(rows.flat()), [rows.length, rows[0].length]);
  return Array.from((await session.run({inputs})).scores.data);
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: pytest shows what fails."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the digits' bundle."""
    if not (ROOT / "bundles/digits" / PUBLISHED).exists():
        pytest.skip("no bundles here: `make repro` makes them")
    if not export.ONNX_WEB.is_dir():
        if shutil.which("npm") is None:
            pytest.skip("no npm on this machine, which fetches ONNX Runtime Web")
        if subprocess.run([ROOT / "tools/onnx_web.sh"], cwd=ROOT).returncode:
            pytest.skip("npm cannot fetch ONNX Runtime Web")
    folder = tmp_path_factory.mktemp("page")
    export.main(str(ROOT / "bundles/digits"), "-o", str(folder), "--page")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, width: int = 1280, **options: object) -> Iterator[Page]:
    """The page with its model; the browser may log nothing, and asks no other host."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
    page, logged, asked = context.new_page(), list[str](), list[str]()
    page.on("console", lambda said: logged.append(said.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    yield page
    assert logged == []
    assert len(asked) > 5 and all(each.startswith(url) for each in asked)
    context.close()


def published() -> pl.DataFrame:
    return pl.read_csv(ROOT / "bundles/digits" / PUBLISHED).with_columns(image=pl.int_range(pl.len()), digit=pl.lit(0))


def test_examples_are_read_as_the_bundle_reads_them(browser: Browser, url: str) -> None:
    bundle, rows = open_bundle(ROOT / "bundles/digits"), published()
    features = featurize(rows, None).select(pl.col(bundle.model.features).cast(pl.Float32))
    expected = bundle.model.predict(features)
    pixels = rows.select(pl.selectors.starts_with("pixel_"))
    assert len(set(expected.argmax(axis=1))) > 3
    with opened(browser, url) as page:
        for counts, scores in zip(pixels.rows(), expected, strict=True):
            assert np.allclose(page.evaluate(SCORE, list(counts)), scores, rtol=0, atol=1e-6)
            page.get_by_role("button", name="Show an example").click()
            expect(page.locator("#answer")).to_have_text(f"Most probably: {scores.argmax()}")
            share = page.locator("tr.best td").last.inner_text()
            assert float(share.removesuffix(" %")) == pytest.approx(100 * scores.max(), abs=0.06)


def test_inputs_are_those_of_the_line_for_any_drawing(browser: Browser, url: str) -> None:
    drawn = np.random.default_rng(0).integers(0, 17, (50, 64))
    names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    rows = pl.DataFrame(drawn, schema=names).with_columns(image=pl.int_range(pl.len()), digit=pl.lit(0))
    expected = featurize(rows, None).drop("image", "digit")
    with opened(browser, url) as page:
        made = page.evaluate("drawn => import('/page.js').then(page => drawn.map(page.inputsOf))", drawn.tolist())
    found = pl.DataFrame(made)
    assert set(found.columns) == set(expected.columns)
    wanted = expected.select(pl.all().cast(pl.Float32))
    assert found.select(pl.col(wanted.columns).cast(pl.Float32)).equals(wanted)


def test_what_is_drawn_with_the_mouse_is_read_and_can_be_cleared(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        box = page.locator("#pad").bounding_box()
        assert box is not None
        path = [(0.25, 0.1), (0.75, 0.1), (0.5, 0.5), (0.38, 0.95)]
        (first, *others) = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
        page.mouse.move(*first)
        page.mouse.down()
        for point in others:
            page.mouse.move(*point, steps=8)
        page.mouse.up()
        expect(page.locator("#answer")).to_have_text("Most probably: 7")
        page.mouse.move(*first)  # without a button pressed, nothing is drawn
        page.get_by_role("button", name="Clear").click()
        expect(page.locator("#answer")).to_have_text("Draw, and the answer is here.")
        expect(page.locator("tr.best")).to_have_count(0)


def test_no_script_of_the_page_may_ask_another_host(browser: Browser, url: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    refused = page.evaluate("""() => new Promise(tell => {
      document.addEventListener('securitypolicyviolation', event => tell(event.effectiveDirective));
      fetch('http://127.0.0.1:9/').catch(() => {});
    })""")
    context.close()
    assert refused == "connect-src"


@pytest.mark.parametrize("family", FAMILIES)
def test_flights_score_in_the_browser_as_in_the_library(
    browser: Browser, url: str, folder: Path, fitted, family: str
) -> None:
    found = fitted("nycflights", family)
    graph = graph_of(found.model, found.signature)
    (folder / f"{family}.onnx").write_bytes(graph.SerializeToString())
    real = found.later.gather_every(len(found.later) // 1000)
    made = made_rows(found.signature["inputs"], code_rows(real)[0], graph).gather_every(5)
    rows = pl.concat([real, made], how="vertical_relaxed")
    with opened(browser, url) as page:
        scores = page.evaluate(RUN, [f"/{family}.onnx", code_rows(rows).tolist()])
    expected = found.model.predict(rows)
    assert np.allclose(scores, expected, rtol=0, atol=1e-6)
    threshold = found.signature["threshold"]
    assert np.array_equal(np.float32(scores) >= np.float32(threshold), expected >= np.float32(threshold))


def test_sets_of_categories_are_told_apart_in_the_browser(browser: Browser, url: str, folder: Path) -> None:
    graph, rows, expected = planted_sets()
    (folder / "sets.onnx").write_bytes(graph.SerializeToString())
    with opened(browser, url) as page:
        scores = page.evaluate(RUN, ["/sets.onnx", rows.tolist()])
    assert np.array_equal(np.reshape(scores, expected.shape), expected)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_everybody_can_read_it(browser: Browser, url: str, width: int, scheme: str) -> None:
    with opened(browser, url, width, color_scheme=scheme) as page:
        page.get_by_role("button", name="Show an example").click()
        expect(page.locator("tr.best")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper = brightness(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert (paper < 60) == (scheme == "dark")
        assert Axe().run(page).response["violations"] == []
