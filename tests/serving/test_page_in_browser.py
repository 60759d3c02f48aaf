"""The page in a real browser: it fits, it can be read and used by everybody, with and without a script."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from stages.models.bundle import PUBLISHED
from tests.browser import CHROMIUM, in_browser
from tests.serving.conftest import ROOT, Serve

pytestmark = in_browser
expect.set_options(timeout=30_000)  # a machine that many use starts the process that scores files in seconds
WIDTHS = (390, 768, 1280)
PATHS = ("/", "/models/nycflights", "/models/nycflights?as=inputs", "/models/digits", "/models/diabetes", "/models/x")


@pytest.fixture(scope="module")
def url(serve: Serve) -> str:
    """A real server on the bundles of this workspace."""
    for name in ("nycflights", "digits", "diabetes"):
        if not (ROOT / "bundles" / name / PUBLISHED).exists():
            pytest.skip("bundles that take rows as published are not in the workspace: `dvc repro`")
    return serve(ROOT / "bundles").url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, path: str = "/", width: int = 1280, **options: object) -> Iterator[Page]:
    """A page; the browser may log nothing but refusals that were meant, and asks no other host."""
    context = browser.new_context(viewport={"width": width, "height": 900}, base_url=url, **options)  # type: ignore[arg-type]
    page, logged, asked = context.new_page(), list[str](), list[str]()
    page.on("console", lambda said: logged.append(said.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path)
    yield page
    assert [text for text in logged if "the server responded with a status of 4" not in text] == []
    assert all(each.startswith(url) for each in asked)
    context.close()


def flights_with_a_mistake(folder: Path) -> Path:
    rows = pl.read_csv(ROOT / "bundles/nycflights" / PUBLISHED, infer_schema=False)
    wrong = pl.int_range(pl.len()) == 2
    path = folder / "flights.csv"
    rows.with_columns(sched_dep_time=pl.when(wrong).then(pl.lit("2570")).otherwise("sched_dep_time")).write_csv(path)
    return path


def answer(page: Page) -> str:
    """Send what was typed and wait for what is said."""
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.get_by_role("button", name="Answer", exact=True).click()
    expect(page.locator("form[aria-busy]")).to_have_count(0)
    return page.locator("#answer h2").inner_text()


def fill_everything(page: Page, folder: Path) -> None:
    """Open what is folded away, look at a file, and make a mistake."""
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.set_input_files("#rows", flights_with_a_mistake(folder))
    page.get_by_role("button", name="Look at the answers").click()
    expect(page.locator("#looked .answer")).to_be_visible()
    page.get_by_label("Sched dep time").fill("2570")
    answer(page)


# ── everybody can read it ────────────────────────────────────────────────────────────────────────────────────────────
def violations(page: Page) -> list[tuple[str, str]]:
    """What axe-core finds wrong, after a look at whether it has looked."""
    found = Axe().run(page).response
    assert len(found["passes"]) > 10
    return [(each["id"], node["html"][:120]) for each in found["violations"] for node in each["nodes"]]


def fits(page: Page, width: int) -> bool:
    """Whether nothing sticks out of a window of this width."""
    page.set_viewport_size({"width": width, "height": 900})
    needed: int = page.evaluate("document.documentElement.scrollWidth")
    return needed <= width


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_on_a_page_with_everything_on_it_but_what_is_planted(
    browser: Browser, url: str, tmp_path: Path, scheme: str
) -> None:
    with opened(browser, url, "/models/nycflights", color_scheme=scheme) as page:
        fill_everything(page, tmp_path)
        assert all(fits(page, width) for width in (*WIDTHS, 390))
        assert violations(page) == []
        page.evaluate("document.querySelector('label').remove()")
        assert [rule for rule, _ in violations(page)] == ["label"]


def test_axe_finds_nothing_on_a_dark_page_with_an_image(browser: Browser, url: str) -> None:
    with opened(browser, url, "/models/digits", color_scheme="dark") as page:
        assert violations(page) == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing_anywhere(browser: Browser, url: str, path: str, width: int, scheme: str) -> None:
    with opened(browser, url, path, width, color_scheme=scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert violations(page) == []


def test_no_page_is_wider_than_its_window(browser: Browser, url: str) -> None:
    for path in PATHS:
        with opened(browser, url, path) as page:
            assert all(fits(page, width) for width in WIDTHS), path


def test_colours_follow_the_reader(browser: Browser, url: str) -> None:
    papers = []
    for scheme in ("light", "dark"):
        with opened(browser, url, "/models/diabetes", color_scheme=scheme) as page:
            papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(255, 255, 255)", "rgb(20, 25, 29)"]


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_flight_is_typed_by_keyboard_and_answered_in_place(browser: Browser, url: str) -> None:
    with opened(browser, url, "/") as page:
        page.get_by_role("link", name="will the flight arrive 15 minutes late").press("Enter")
        page.get_by_label("Sched dep time").focus()
        before = page.locator("#answer-title").inner_text()
        page.keyboard.press("Control+a")
        page.keyboard.type("1915")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.labels[0].textContent") == "Sched arr time"
        page.get_by_label("Carrier").focus()
        page.keyboard.type("EV")
        assert page.get_by_label("Carrier").input_value() == "EV"
        page.get_by_label("Flight").focus()
        with page.expect_response(lambda response: response.request.method == "POST"):
            page.keyboard.press("Enter")
        expect(page.locator("#answer-title")).not_to_have_text(before)
        assert page.locator("#answer").get_attribute("aria-live") == "polite"
        assert page.url == f"{url}/models/nycflights"
        assert '"sched_dep_time": "1915"' in (page.locator("#json").text_content() or "")
        page.go_back()
        assert page.url == f"{url}/"


@pytest.mark.parametrize(
    "path",
    [
        "/models/nycflights?",
        pytest.param("/models/nycflights?as=inputs&", marks=pytest.mark.slow),
        pytest.param("/models/digits?", marks=pytest.mark.slow),
    ],
)
def test_with_a_script_and_without_one_the_answer_is_the_same(browser: Browser, url: str, path: str) -> None:
    said = []
    for has_script in (True, False):
        with opened(
            browser, url, f"{path}{'&' if '?' in path else '?'}example=4", java_script_enabled=has_script
        ) as page:
            page.locator("form input").nth(3).fill("11")
            answer(page)
            said.append(page.locator("#answer").inner_text())
            assert page.locator("form input").nth(3).input_value() == "11"
    assert said[0] == said[1] and "probable" in said[0]


def test_a_mistake_is_told_at_its_field_in_place_and_goes_when_it_is_mended(browser: Browser, url: str) -> None:
    with opened(browser, url, "/models/diabetes") as page:
        page.get_by_label("Bmi").fill("21,6")
        assert "Not answered" in answer(page)
        assert page.get_by_label("Bmi").get_attribute("aria-invalid") == "true"
        [key] = [key for key in (page.get_by_label("Bmi").get_attribute("aria-describedby") or "").split()
                 if key.endswith("error")]  # fmt: skip
        assert page.locator(f"#{key}").inner_text() == "Write a decimal point: 21.6"
        page.locator("#answer a").click()
        page.get_by_label("Bmi").fill("21.6")
        assert "Progression" in answer(page)
        assert page.locator(".error").count() == 0
        assert page.get_by_label("Bmi").get_attribute("aria-invalid") is None


def test_arrow_keys_move_a_number_by_its_step(browser: Browser, url: str) -> None:
    with opened(browser, url, "/models/diabetes") as page:
        for label, given, key, moved in (("Age", "48", "ArrowUp", "49"), ("Bmi", "21.6", "ArrowDown", "21.5"),
                                         ("Age", "old", "ArrowUp", "old"), ("Age", "", "ArrowUp", "1")):  # fmt: skip
            page.get_by_label(label, exact=True).fill(given)
            page.get_by_label(label, exact=True).press(key)
            assert page.get_by_label(label, exact=True).input_value() == moved


# ── drawing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def draw(page: Page, *points: tuple[float, float]) -> None:
    """Draw a line through places, in cells from the upper left corner."""
    box = page.locator(".grid").bounding_box()
    assert box
    cells = [(box["x"] + 6 + (x + 0.5) * (box["width"] - 12) / 8, box["y"] + 6 + (y + 0.5) * (box["height"] - 12) / 8)
             for x, y in points]  # fmt: skip
    page.mouse.move(*cells[0])
    page.mouse.down()
    for x, y in cells[1:]:
        page.mouse.move(x, y, steps=12)
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.mouse.up()
    expect(page.locator("form[aria-busy]")).to_have_count(0)


def ink(page: Page) -> list[list[int]]:
    values = [int(cell.input_value()) for cell in page.locator(".grid input").all()]
    return [values[start : start + 8] for start in range(0, 64, 8)]


def test_a_digit_is_drawn_and_recognised(browser: Browser, url: str) -> None:
    with opened(browser, url, "/models/digits") as page:
        page.get_by_role("button", name="Clear").click()
        assert ink(page) == [[0] * 8] * 8
        draw(page, (2.3, 0.2), (4.6, 0.2), (5.2, 1.8), (4, 3.4), (5.2, 5), (4.6, 6.8), (2.3, 6.8))
        assert ink(page)[0][3] == 16 and ink(page)[0][0] == 0
        assert page.locator("#answer-title").inner_text().startswith("3: ")
        page.get_by_role("button", name="Eraser").click()
        draw(page, (2.3, 0.2), (5, 0.2))
        assert ink(page)[0][2:6] == [0] * 4


def test_cells_are_filled_and_left_by_keyboard(browser: Browser, url: str) -> None:
    with opened(browser, url, "/models/digits") as page:
        page.get_by_label("row 1, column 1", exact=True).focus()
        for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
        page.keyboard.type("12")
        cell = page.get_by_label("row 2, column 3", exact=True)
        assert cell.input_value() == "12" and "level-6" in (cell.get_attribute("class") or "")
        page.keyboard.press("Enter")
        expect(page.locator("#json")).to_contain_text('"pixel_1_2": 12')


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("has_script", [True, False])
def test_a_file_is_looked_at_and_its_scores_are_kept(
    browser: Browser, url: str, tmp_path: Path, has_script: bool
) -> None:
    path = flights_with_a_mistake(tmp_path)
    with opened(browser, url, "/models/nycflights", java_script_enabled=has_script) as page:
        page.set_input_files("#rows", path)
        page.get_by_role("button", name="Look at the answers").click()
        expect(page.locator("#looked h3")).to_have_text("9 rows answered, 1 without a score")
        if not has_script:  # the browser forgets the file where the page is another one
            page.set_input_files("#rows", path)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download them as CSV").click()
        kept = Path(download.value.path()).read_text()
        assert download.value.suggested_filename == "nycflights-scores.csv"
        assert pl.read_csv(io.StringIO(kept))["problem"].drop_nulls().to_list() == [
            "sched_dep_time: wanted time of day (hhmm)"
        ]
