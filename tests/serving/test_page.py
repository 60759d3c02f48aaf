"""The page: every model can be asked, what it answers is what the model says, and what was typed is never lost."""

import csv
import io
import json
import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost
from fastapi.testclient import TestClient

from stages.models.bundle import EXAMPLE, PUBLISHED, open_bundle
from stages.models.signature import fit_rows
from stages.serving.app import create_app
from stages.serving.champions import open_champions
from stages.serving.service import Service
from tests.serving.conftest import ROOT, TASKS, copy_bundle
from tests.serving.pages import SAME_ORIGIN, Page

A_FILE_FOR_A_FIELD = b'--x\r\nContent-Disposition: form-data; name="hour"; filename="a.csv"\r\n\r\n1\r\n--x--'
HOSTILE = "<script>alert(1)</script> é “ה” & 'x'"


def scores_alone(bundle: Path) -> np.ndarray:
    """The scores of the example by XGBoost alone, as the model card says."""
    booster = xgboost.Booster(model_file=bundle / "model.ubj")
    rows, _ = fit_rows(pl.read_csv(bundle / EXAMPLE, infer_schema=False), open_bundle(bundle).signature["inputs"])
    return booster.inplace_predict(rows)


def example(bundle: Path, place: int = 0) -> dict[str, str]:
    return {
        name: text or ""
        for name, text in pl.read_csv(bundle / EXAMPLE, infer_schema=False).row(place, named=True).items()
    }


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_model_can_be_chosen_by_its_question(client: TestClient, bundles: Path) -> None:
    page = Page(client.get("/").text)
    for task in TASKS:
        assert "planted?" in [link.text for link in page.all("a", href=f"/models/{task}")]
    assert page.by_id("main").text.count("On 750 test rows the model reaches") == len(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_the_form_asks_for_every_input_once_and_names_it(client: TestClient, bundles: Path, task: str) -> None:
    page = Page(client.get(f"/models/{task}").text)
    inputs = open_bundle(bundles / task).signature["inputs"]
    fields = [
        each for each in page.elements if each.tag in ("input", "select") and each.attributes.get("name") != "file"
    ]
    assert sorted(each.attributes["name"] for each in fields) == sorted(entry["name"] for entry in inputs)
    for each in fields:
        [label] = page.all("label", **{"for": each.attributes["id"]})
        assert label.text
        for explained in each.attributes["aria-describedby"].split():
            assert page.by_id(explained).text


def test_inputs_that_move_the_answer_most_come_first(client: TestClient, bundles: Path) -> None:
    effects = {entry["name"]: entry["effect"] for entry in open_bundle(bundles / "binary").signature["inputs"]}
    page = Page(client.get("/models/binary").text)
    asked = [each.attributes["name"] for each in page.elements if each.attributes.get("name") in effects]
    assert asked == sorted(effects, key=lambda name: -effects[name])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("place", [0, 7])
def test_the_example_is_answered_as_by_the_library_alone(
    client: TestClient, bundles: Path, task: str, place: int
) -> None:
    page = Page(client.get(f"/models/{task}?example={place + 1}").text)
    assert {name: text for name, text in page.values.items() if text} == {
        name: text for name, text in example(bundles / task, place).items() if text
    }
    score = scores_alone(bundles / task)[place]
    classes = open_bundle(bundles / task).signature["classes"]
    told = {
        "binary": lambda: f"Late: {100 * score:.1f} % probable",
        "multiclass": lambda: f"{classes[int(score.argmax())].capitalize()}: {100 * score.max():.1f} % probable",
        "regression": lambda: f"Target: {score:.2f}",
    }[task]()
    assert page.by_id("answer-title").text.replace("\u202f", " ") == told


@pytest.mark.parametrize("task", TASKS)
def test_what_is_typed_is_answered_as_the_api_answers_it(client: TestClient, task: str) -> None:
    typed = {"hour": "1.25", "carrier": "B6", "rain": "1", "never_known": ""}
    page = Page(client.post(f"/models/{task}", data=typed).text)
    body = {"hour": 1.25, "carrier": "B6", "rain": 1, "never_known": None}
    [answer] = client.post(f"/models/{task}/predict", json=body).json()["answers"]
    key = {"binary": "probability", "multiclass": f"probability_{answer.get('prediction')}", "regression": "prediction"}
    shown = float(re.search(r": ([\d.]+)", page.by_id("answer-title").text)[1])
    expected = answer[key[task]] * (1 if task == "regression" else 100)
    assert shown == pytest.approx(expected, abs=0.06)
    assert page.values == typed


def test_the_decision_and_its_reason_are_told(client: TestClient, bundles: Path) -> None:
    threshold = open_bundle(bundles / "binary").signature["threshold"]
    said = set()
    for place, score in enumerate(scores_alone(bundles / "binary")):
        answer = Page(client.get(f"/models/binary?example={place + 1}").text).answer
        decided = "late" if score >= np.float32(threshold) else "on time"
        assert f"The model says “{decided}”" in answer
        assert "because a miss costs as much as 3 false alarms" in answer
        said.add(decided)
    assert len(said) == 2


def test_what_speaks_for_and_against_multiplies_to_the_odds_of_the_answer(client: TestClient, bundles: Path) -> None:
    bundle = open_bundle(bundles / "binary")
    rows, _ = fit_rows(pl.read_csv(bundles / "binary" / EXAMPLE, infer_schema=False), bundle.signature["inputs"])
    *added, bias = bundle.model.contributions(rows)[0, 0].tolist()
    page = Page(client.get("/models/binary").text)
    told = [float(each) for each in re.findall(r"(?:for|against) ×\s*([\d.]+)", page.answer)]
    assert sorted(told) == pytest.approx(sorted(math.exp(each) for each in added if each), abs=0.006)
    score = float(scores_alone(bundles / "binary")[0])
    assert math.prod(told) * math.exp(bias) == pytest.approx(score / (1 - score), rel=0.05)  # two decimals each


def test_it_is_told_how_such_answers_fared_in_the_test(client: TestClient, bundles: Path) -> None:
    groups = json.loads((bundles / "binary" / "calibration.json").read_text())["groups"]
    known = {int(group["predicted"] * 10): group for group in groups}
    for place, score in enumerate(scores_alone(bundles / "binary")):
        answer = Page(client.get(f"/models/binary?example={place + 1}").text).answer.replace("\u202f", " ")
        group = known.get(int(score * 10))
        if group is None:
            assert f"Too few test rows were given {10 * int(score * 10)} to" in answer
        else:
            assert f"Of {group['rows']} test rows that were given {10 * int(score * 10)} to" in answer
            share = float(re.search(r"([\d.]+) % were “late”", answer)[1])
            assert share == pytest.approx(100 * group["observed"], abs=0.06)


def test_a_number_is_told_with_the_range_in_which_such_rows_lay(client: TestClient, bundles: Path) -> None:
    groups = json.loads((bundles / "regression" / "calibration.json").read_text())["groups"]
    score = float(scores_alone(bundles / "regression")[0])
    nearest = min(groups, key=lambda group: abs(group["predicted"] - score))
    answer = Page(client.get("/models/regression").text).answer
    assert f"{nearest['rows']} test rows were predicted near" in answer
    low, high = re.search(r"here (\S+) to (\S+)\.", answer).groups()
    assert float(low) == pytest.approx(score + nearest["tenth"], rel=1e-3)
    assert float(high) == pytest.approx(score + nearest["ninetieth"], rel=1e-3)


# ── doubts and refusals ──────────────────────────────────────────────────────────────────────────────────────────────
def test_what_the_model_did_not_know_is_said(client: TestClient) -> None:
    typed = {"hour": "99", "carrier": "Zeppelin", "rain": "", "never_known": ""}
    answer = Page(client.post("/models/binary", data=typed).text).answer
    assert "carrier “Zeppelin” was never seen in training and counts as missing" in answer
    assert "hour = 99 lies outside what training saw" in answer
    assert "Missing here, and hardly ever in training: rain" in answer


@pytest.mark.parametrize(
    ("text", "advice"),
    [("3,5", "Write a decimal point: 3.5"), ("1,234", "Write a decimal point"), ("1,234.5", "Leave the commas out"),
     ("abc", "no number"), ("<script>", "no number"), ("1e999", "no number"), ("١٢", "no number")],
)  # fmt: skip
def test_a_mistake_is_told_at_its_field_and_what_was_typed_stays(client: TestClient, text: str, advice: str) -> None:
    typed = {"hour": text, "carrier": "a|b", "rain": "0.5", "never_known": "7"}
    response = client.post("/models/binary", data=typed)
    page = Page(response.text)
    assert response.status_code == 422
    assert page.values == typed
    [hour] = page.all("input", name="hour")
    assert hour.attributes["aria-invalid"] == "true"
    told = [page.by_id(key).text for key in hour.attributes["aria-describedby"].split() if key.endswith("-error")]
    assert len(told) == 1 and advice in told[0]
    assert page.all("a", href=f"#{hour.attributes['id']}")  # from the summary to the field
    [rain] = page.all("input", name="rain")
    assert "aria-invalid" not in rain.attributes


def test_a_form_without_anything_is_refused_in_words(client: TestClient) -> None:
    response = client.post("/models/binary", data={})
    assert response.status_code == 422
    assert "Fill in at least one input" in Page(response.text).answer


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xfe\x00hour=%ff", "application/x-www-form-urlencoded"),
        (b"hour=1&hour=2&" + b"x=1&" * 9000, "application/x-www-form-urlencoded"),
        (b"&".join(b"x%d=1" % k for k in range(20_000)), "application/x-www-form-urlencoded"),
        (b"nothing of the kind", "multipart/form-data"),
        (b"nothing of the kind", "multipart/form-data; boundary=x"),
        (A_FILE_FOR_A_FIELD, "multipart/form-data; boundary=x"),
        (b'{"hour": 1}', "application/json"),
        (b"", ""),
    ],
)  # fmt: skip
def test_odd_forms_are_answered_or_refused_with_a_page(client: TestClient, body: bytes, kind: str) -> None:
    for path in ("/models/binary", "/models/binary/file"):
        response = client.post(path, content=body, headers={"content-type": kind})
        assert response.status_code in (200, 400, 413, 415, 422)
        assert Page(response.text).all("h1")


@pytest.mark.parametrize(
    "query", ["example=0", "example=99999999999", "example=-1", "example=x", "as=published", "as=%00"]
)
def test_odd_addresses_are_answered(client: TestClient, query: str) -> None:
    assert client.get(f"/models/binary?{query}").status_code == 200


def test_a_model_that_is_not_served_is_told_on_a_page(client: TestClient) -> None:
    for response in (client.get("/models/nobody"), client.post("/models/nobody"), client.get("/models/<script>")):
        assert response.status_code == 404
        assert Page(response.text).all("h1")[0].text == "This cannot be answered"
        assert "<script>" not in response.text
    assert client.get("/assets/page.py").status_code == 404


# ── nothing that a stranger writes runs or leads elsewhere ───────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def hostile(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A model whose words are all markup."""
    home = tmp_path_factory.mktemp("hostile")
    inputs = open_bundle(bundles / "binary").signature["inputs"]
    worded = [{**entry, "about": HOSTILE, "unit": HOSTILE} for entry in inputs]
    copy_bundle(bundles / "binary", home / "bundle", dataset="a <b> & c", question=HOSTILE, classes=["no", HOSTILE],
                inputs=worded)  # fmt: skip
    service = Service(open_champions([home / "bundle"], home / "kept"))
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def pages_of(client: TestClient) -> Iterator[str]:
    """Every kind of page of every model of a client."""
    yield client.get("/").text
    for name in [each["name"] for each in client.get("/models").json()["models"]]:
        yield client.get(f"/models/{name}").text
        yield client.post(f"/models/{name}", data={"hour": HOSTILE, "carrier": HOSTILE, HOSTILE: HOSTILE}).text
        rows = client.get(f"/models/{name}/example.csv").text
        header, first, *_ = list(csv.reader(io.StringIO(rows)))
        table = io.StringIO()
        csv.writer(table).writerows([[HOSTILE, *header], [HOSTILE, *first], [HOSTILE, "x", *first[1:]]])
        yield client.post(f"/models/{name}/file", files={"file": (HOSTILE + ".csv", table.getvalue())}).text
        yield client.post(f"/models/{name}/file", files={"file": ("a.csv", HOSTILE)}).text
        yield client.post(f"/models/{name}/file", files={"file": (HOSTILE, HOSTILE)}).text


@pytest.fixture(scope="module")
def hostile_pages(hostile: TestClient) -> list[Page]:
    return [Page(source) for source in pages_of(hostile)]


def test_words_of_requests_and_bundles_are_shown_and_do_nothing(hostile_pages: list[Page]) -> None:
    shown = 0
    for page in hostile_pages:
        assert [each.attributes for each in page.all("script")] == [{"src": "/assets/page.js", "defer": ""}]
        shown += HOSTILE in " ".join([each.text for each in page.elements if each.tag in ("body", "title")])
        shown += any(HOSTILE in value for value in page.values.values())
    assert shown >= 6


def test_no_page_has_a_style_or_script_in_it_or_names_another_host(
    client: TestClient, hostile_pages: list[Page]
) -> None:
    for page in (*map(Page, pages_of(client)), *hostile_pages):
        for each in page.elements:
            assert not [name for name in each.attributes if name == "style" or name.startswith("on")], each
            assert each.tag != "style"
            for name in ("href", "src", "action", "formaction"):
                assert each.attributes.get(name, "/").startswith(SAME_ORIGIN), each
                assert not each.attributes.get(name, "").startswith("//")


def test_the_pages_files_are_there_and_small(client: TestClient) -> None:
    page = Page(client.get("/models/binary").text)
    named = [each.attributes.get("href") or each.attributes["src"] for each in [*page.all("link"), *page.all("script")]]
    assert len(named) == 4
    sizes = {name: len(client.get(name).raise_for_status().content) for name in named}
    assert sum(sizes.values()) < 40_000, sizes


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def table_with_mistakes(bundle: Path) -> str:
    """The example with a name for each row, two of which have something wrong in them."""
    rows = pl.read_csv(bundle / EXAMPLE, infer_schema=False).with_row_index("name")
    place = pl.col("name")
    rows = rows.with_columns(
        hour=pl.when(place == 3).then(pl.lit("soon")).otherwise("hour"),
        carrier=pl.when(place == 5).then(None).when(place == 6).then(pl.lit("Zeppelin")).otherwise("carrier"),
        rain=pl.when(place == 5).then(pl.lit("NA")).otherwise("rain"),
        never_known=pl.when(place == 3).then(pl.lit("x")).otherwise("never_known"),
    )
    return rows.with_columns(hour=pl.when(place == 5).then(None).otherwise("hour")).write_csv()


@pytest.mark.parametrize("task", TASKS)
def test_rows_of_a_file_without_a_score_are_counted_by_reason(client: TestClient, bundles: Path, task: str) -> None:
    response = client.post(f"/models/{task}/file", files={"file": ("rows.csv", table_with_mistakes(bundles / task))})
    page = Page(response.text)
    told = " ".join(page.by_id("looked").text.split())
    assert response.status_code == 200
    assert "8 rows answered, 2 without a score" in told
    for reason in ("hour is no number 1 4", "never_known is no number 1 4", "no input is filled 1 6"):
        assert reason in told
    assert "Unknown category: carrier = 'Zeppelin' in row 7 (1 row)" in told
    bars = [int(each.text.replace(",", "")) for each in page.all("title")[1:]]
    assert sum(bars) == 8
    assert "The first 8 rows" in told


@pytest.mark.parametrize("task", TASKS)
def test_what_is_downloaded_has_every_row_and_the_right_scores(client: TestClient, bundles: Path, task: str) -> None:
    source = table_with_mistakes(bundles / task)
    response = client.post(f"/models/{task}/file?as=csv", files={"file": ("rows.csv", source)})
    assert response.headers["content-type"].startswith("text/csv")
    assert f'filename="{task}-scores.csv"' in response.headers["content-disposition"]
    found = pl.read_csv(io.StringIO(response.text))
    assert found["name"].to_list() == list(range(10)) and found["row"].to_list() == list(range(1, 11))
    key = {"binary": "probability", "multiclass": "probability_late", "regression": "prediction"}[task]
    expected = scores_alone(bundles / task)[..., *([-1] if task == "multiclass" else [])].tolist()
    for place, score in enumerate(found[key].to_list()):
        if place in (3, 5):
            assert score is None and found["problem"][place]
        elif place != 6:  # whose carrier is another one here
            assert np.float32(score) == np.float32(expected[place])
            assert found["problem"][place] is None


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("rows.csv", b"", "empty"),
        ("rows.csv", b"hour,carrier,rain,never_known\n", "at least one row"),
        ("rows.csv", b"hour,carrier\n1,AA\n", "rain: wanted a column, found none"),
        ("rows.csv", b"hour,carrier,rain,never_known\n1,AA,0\n", "3 in line 2"),
        ("rows.csv", b"\xff\xfeh\x00o\x00", "found"),
        ("rows.jsonl", b'{"hour": 1,', "line 1"),
        ("rows.parquet", b"PAR1 not at all", "parquet"),
        ("rows.exe", b"MZ", "Wanted a file in one of"),
    ],
)
def test_a_file_that_cannot_be_scored_is_told_of(client: TestClient, name: str, content: bytes, told: str) -> None:
    for query in ("", "?as=csv"):
        response = client.post(f"/models/binary/file{query}", files={"file": (name, content)})
        assert 400 <= response.status_code < 500
        page = Page(response.text)
        assert "The file cannot be scored" in page.by_id("looked").text
        assert told in page.by_id("looked").text
        assert "/tmp" not in response.text


# ── the same for programs ────────────────────────────────────────────────────────────────────────────────────────────
def sent(client: TestClient, page: Page) -> dict[str, object]:
    """The answer to the command that a page shows."""
    words = shlex.split(page.by_id("command").text.replace("\\\n", " "))
    assert words[:2] == ["curl", "-s"]
    body = words[words.index("-d") + 1]
    assert json.loads(body) == json.loads(page.by_id("json").text)
    answered = client.post(words[2], content=body.encode(), headers={"content-type": "application/json"})
    answer: dict[str, object] = answered.raise_for_status().json()["answers"][0]
    return answer


def test_the_command_that_is_shown_asks_for_the_same_answer(client: TestClient, bundles: Path) -> None:
    typed = {**example(bundles / "binary"), "carrier": "it's “ה” $HOME"}
    page = Page(client.post("/models/binary", data=typed).text)
    assert json.loads(page.by_id("json").text)["carrier"] == typed["carrier"]
    assert f"{100 * sent(client, page)['probability']:.1f}" in page.answer


# ── rows as published, and images ────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The bundles of this workspace."""
    for name in ("nycflights", "digits", "diabetes"):
        if not (ROOT / "bundles" / name / PUBLISHED).exists():
            pytest.skip("bundles that take rows as published are not in the workspace: `dvc repro`")
    service = Service(open_champions([ROOT / "bundles"], tmp_path_factory.mktemp("kept")))
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def test_a_flight_is_asked_about_as_it_is_published(real: TestClient) -> None:
    page = Page(real.get("/models/nycflights").text)
    assert f"{100 * sent(real, page)['probability']:.1f}" in page.by_id("answer-title").text
    assert list(page.values) and set(page.values) == {
        "year", "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "flight", "tailnum", "origin", "dest",
        "distance", "asked_at",
    }  # fmt: skip
    assert "probable" in page.by_id("answer-title").text
    again = Page(real.post("/models/nycflights", data=page.values).text)
    assert again.by_id("answer-title").text == page.by_id("answer-title").text


@pytest.mark.parametrize(
    ("column", "text", "told"),
    [("sched_dep_time", "2570", "Wanted time of day (hhmm), found “2570”."), ("flight", "x", "Wanted a whole number"),
     ("distance", "-5", "Wanted 10 to 6000, found “-5”."), ("dest", "", "Wanted a value."),
     ("month", "13", "Wanted a day that exists")],
)  # fmt: skip
def test_what_would_be_quarantined_is_told_at_its_field(real: TestClient, column: str, text: str, told: str) -> None:
    typed = Page(real.get("/models/nycflights").text).values | {column: text}
    response = real.post("/models/nycflights", data=typed)
    page = Page(response.text)
    assert response.status_code == 422 and page.values == typed
    [field] = [each for each in page.elements if each.attributes.get("name") == column]
    key = next(key for key in field.attributes["aria-describedby"].split() if key.endswith("-error"))
    assert told in page.by_id(key).text


def test_a_flight_can_be_asked_about_ahead_of_its_departure(real: TestClient) -> None:
    typed = Page(real.get("/models/nycflights?example=10").text).values  # leaves at 16:30 in New York
    page = Page(real.post("/models/nycflights", data=typed | {"asked_at": "2013-12-14T18:30"}).text)
    assert "Asked 3 h ahead: what happens until then is not known" in page.answer
    assert "was tested at the rows' own moments" in page.answer
    assert f"{100 * sent(real, page)['probability']:.1f}" in page.by_id("answer-title").text
    for text in ("soon", "24:00", "2013-12-14T18:30Europe", "0001-01-01T00:00+14:00", "0001-01-01", "9999-12-31T23:59"):
        response = real.post("/models/nycflights", data=typed | {"asked_at": text})
        assert response.status_code == 422
        assert "Asked at: Wanted a moment such as 2013-12-31T17:00." in Page(response.text).answer
        body = {"at": text, "rows": [json.loads(page.by_id("json").text)["rows"][0]]}
        assert real.post("/models/nycflights/predict", json=body).status_code == 422
    for text in ("1900-01-01", "2100-01-01T00:00Z"):
        assert real.post("/models/nycflights", data=typed | {"asked_at": text}).status_code == 200


def test_a_day_before_all_that_is_remembered_is_refused_in_words(real: TestClient) -> None:
    typed = Page(real.get("/models/nycflights").text).values | {"year": "2012"}
    response = real.post("/models/nycflights", data=typed)
    assert response.status_code == 422
    assert "in what is remembered: from 2013-12 on" in Page(response.text).answer


def test_a_file_of_flights_as_published_is_answered_as_the_form_answers_them(real: TestClient) -> None:
    source = real.get("/models/nycflights/example.csv?as=published").text
    rows = pl.read_csv(io.StringIO(source), infer_schema=False)
    assert rows.equals(pl.read_csv(ROOT / "bundles/nycflights" / PUBLISHED, infer_schema=False))
    wrong = pl.int_range(pl.len()) == 2
    rows = rows.with_columns(sched_dep_time=pl.when(wrong).then(pl.lit("2570")).otherwise("sched_dep_time"))
    upload = {"file": ("flights.csv", rows.write_csv())}
    told = Page(real.post("/models/nycflights/file", files=upload).text).by_id("looked").text
    assert "9 rows answered, 1 without a score" in told
    assert "sched_dep_time: wanted time of day (hhmm)" in told
    answered = pl.read_csv(io.StringIO(real.post("/models/nycflights/file?as=csv", files=upload).text))
    for place in (0, 9):
        page = Page(real.get(f"/models/nycflights?example={place + 1}").text)
        assert f"{100 * answered['probability'][place]:.1f}" in page.by_id("answer-title").text


def test_a_day_before_the_year_1_is_refused_on_the_page_and_in_json(real: TestClient) -> None:
    typed = Page(real.get("/models/nycflights").text).values | {"year": "-1"}
    assert "found some beyond all reason" in Page(real.post("/models/nycflights", data=typed).text).answer
    del typed["asked_at"]
    assert real.post("/models/nycflights/predict", json=typed).status_code == 422


def test_an_image_is_asked_for_as_it_lies(real: TestClient) -> None:
    page = Page(real.get("/models/digits").text)
    cells = [each for each in page.all("input") if each.attributes.get("class", "").startswith("cell")]
    assert [each.attributes["name"] for each in cells] == [f"pixel_{k // 8}_{k % 8}" for k in range(64)]
    assert cells[9].attributes["aria-label"] == "row 2, column 2"
    published = pl.read_csv(ROOT / "bundles/digits" / PUBLISHED)
    for cell in cells:
        ink = published[cell.attributes["name"]][0]
        assert cell.attributes["class"] == f"cell level-{round(ink / 2)}"


def test_the_models_own_inputs_can_be_given_instead(real: TestClient) -> None:
    page = Page(real.get("/models/nycflights?as=inputs").text)
    assert len(page.values) == 52
    [details] = page.all("details")[:1]
    assert "40 further inputs" in details.text
    answered = real.post("/models/nycflights?as=inputs", data=page.values)
    assert Page(answered.text).by_id("answer-title").text == page.by_id("answer-title").text


def test_the_cells_that_speak_most_for_an_image_are_the_deepest(real: TestClient) -> None:
    page = Page(real.get("/models/digits?as=inputs").text)
    bundle = open_bundle(ROOT / "bundles/digits")
    rows, _ = fit_rows(pl.read_csv(bundle.folder / EXAMPLE, infer_schema=False), bundle.signature["inputs"])
    digit = bundle.model.predict(rows[:1])[0].argmax()
    added = dict(zip(bundle.model.features, bundle.model.contributions(rows[:1])[0, digit].tolist(), strict=False))
    most = max((name for name in added if name.startswith("pixel")), key=lambda name: added[name])
    row, column = map(int, most.removeprefix("pixel_").split("_"))
    [picture] = page.all("svg", **{"class": "cells-said"})
    assert picture.attributes["aria-label"].endswith(f"speaks row {row + 1}, column {column + 1}")
    drawn = [each for each in page.all("rect") if "fill-opacity" in each.attributes]
    assert len(drawn) == 64
    largest = max(abs(each) for name, each in added.items() if name.startswith("pixel"))
    assert drawn[8 * row + column].attributes["fill-opacity"] == f"{added[most] / largest:.2f}"
