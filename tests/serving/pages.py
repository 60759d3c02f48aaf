"""A page as its reader meets it: elements with their attributes and texts, links, what a script or a style could be."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img"}
SAME_ORIGIN = ("/", "?", "#")


@dataclass
class Element:
    """One element: its tag, its attributes, and all text within it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """All elements of a page, in order."""

    source: str
    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[Element] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        self.handle_data(" ")  # what stands in two elements is not one word
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a tag with these attributes."""
        wanted = attributes.items()
        return [each for each in self.elements if each.tag == tag and wanted <= each.attributes.items()]

    def by_id(self, key: str) -> Element:
        """The only element of that id."""
        [found] = [each for each in self.elements if each.attributes.get("id") == key]
        return found

    @property
    def values(self) -> dict[str, str]:
        """What stands in every field, by name."""
        typed = {each.attributes["name"]: each.attributes.get("value", "") for each in self.all("input")
                 if each.attributes.get("type") != "file"}  # fmt: skip
        options: dict[str, str] = {}
        for each in self.elements:
            if each.tag == "select":
                name = each.attributes["name"]
                options[name] = ""
            if each.tag == "option" and "selected" in each.attributes:
                options[name] = each.text
        return typed | options

    @property
    def answer(self) -> str:
        """All that is said of the row."""
        return " ".join(self.by_id("answer").text.split())
