"""A table says the same in HTML, in Markdown and in the terminal, and what it holds does nothing to it."""

import re
import xml.etree.ElementTree as ET

import pytest

from stages.pages.tables import Cell, Column, as_html, as_markdown, as_text, table

ODD = "<b> a|b `c` & *d*"
COLUMNS = (Column("feature", "name"), Column("drawn", "drawn", "<i/>"), "rows", Column("verdict", "verdict"))
ROWS = [
    [Cell(ODD, kind="name code"), "<svg/>", "1,234", Cell("worse", kind="verdict worse")],
    ["plain", "", "5", ""],
]


def parsed(html: str) -> ET.Element:
    return ET.fromstring(f"<page>{html}</page>")


def test_every_form_has_the_same_texts_in_the_same_order() -> None:
    shown = table("Features", COLUMNS, ROWS)
    page = parsed(as_html(shown))
    cells = [
        "".join(cell.itertext()) for row in page.findall(".//tbody/tr") for cell in row if cell.get("class") != "drawn"
    ]
    assert [cell for cell in cells if cell] == [ODD, "1,234", "worse", "plain", "5"]
    for written in (as_markdown(shown), as_text(shown)):
        places = [written.index(text) for text in ("feature", "rows", "verdict", "1,234", "worse", "plain")]
        assert places == sorted(places)
        assert "svg" not in written and "drawn" not in written


@pytest.mark.parametrize("odd", [ODD, "<script>alert(1)</script>", "]]> &amp;", "a\nb"])
def test_a_text_stays_one_text_in_one_cell(odd: str) -> None:
    shown = table(odd, (Column(odd, "name"), odd), [[odd, odd]])
    page = parsed(as_html(shown))
    assert [cell.text for cell in page.find(".//tbody/tr") or ()] == [odd, odd]
    assert {line.replace("\\|", "").count("|") for line in as_markdown(shown).splitlines()} == {3}


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    shown = table("Rows", (Column("who", "name"), "rows"), [["a", "1"], ["bbb", "22"]])
    assert as_markdown(shown).splitlines()[1] == "| --- | ---: |"
    assert as_text(shown).splitlines() == ["who      rows", "-----  ------", "a           1", "bbb        22"]


def test_rows_beyond_the_first_are_folded_away_and_counted() -> None:
    shown = table("Rows", ("n",), [[str(n)] for n in range(9)], first=4)
    page = parsed(as_html(shown))
    assert page.findtext(".//summary") == "5 more"
    assert [cell.text for cell in page.findall(".//tbody/tr/th")] == [str(n) for n in range(9)]
    assert as_markdown(shown).endswith("| 3 |\n\n… and 5 more.")
    assert not re.search("more", as_text(shown))


def test_a_column_of_intervals_is_set_as_blocks_on_a_phone_with_its_label_in_each() -> None:
    narrow, wide = (table("T", (Column("a", "name"), "b"), [["x", text]]) for text in ("1", "1 [0, 2]"))
    assert not narrow.is_wide and "data-label" not in as_html(narrow)
    assert wide.is_wide and 'data-label="b"' in as_html(wide)


def test_a_row_with_too_few_cells_is_refused() -> None:
    with pytest.raises(ValueError):
        table("T", ("a", "b"), [["1"]])
