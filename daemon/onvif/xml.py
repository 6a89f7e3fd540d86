"""Reads and writes the XML of SOAP messages. What is read comes from cameras and from any machine that answers a probe.

Namespaces are ignored when reading: manufacturers disagree on their versions, and local names are unambiguous here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

MOST_ELEMENTS = 20_000
MOST_DEPTH = 64


class XmlError(Exception):
    """Bytes are not XML that a SOAP message may consist of; the message says why and quotes nothing."""


@dataclass(slots=True)
class Element:
    """An element by its local name, with the text directly in it, stripped."""

    name: str
    attributes: Mapping[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, path: str) -> list[Element]:
        """Returns the elements at a path of local names, such as "Body/Fault"."""
        found = [self]
        for step in path.split("/"):
            found = [child for one in found for child in one.children if child.name == step]
        return found

    def find(self, path: str) -> Element | None:
        """Returns the first element at `path`."""
        return next(iter(self.all(path)), None)

    def value(self, path: str, otherwise: str = "") -> str:
        """Returns the text of the first element at `path`."""
        found = self.find(path)
        return otherwise if found is None else found.text

    def walk(self) -> Iterator[Element]:
        """Yields this element and all below it, in document order."""
        waiting = [self]
        while waiting:
            one = waiting.pop()
            yield one
            waiting.extend(reversed(one.children))


def parse(data: bytes) -> Element:
    """Returns the root element. Raises XmlError if the data is not well-formed, has a document type declaration (SOAP
    1.2 forbids it, and entities would need one), or has too many elements. The caller limits its size."""
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # LookupError: an unknown encoding
        raise XmlError(f"not well-formed: {type(error).__name__}") from None
    assert reader.root is not None
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0
        self.parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS or len(self._open) >= MOST_DEPTH:
            raise XmlError(f"more than {MOST_ELEMENTS} elements, or more than {MOST_DEPTH} within each other")
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()

    def _text(self, text: str) -> None:
        self._open[-1].text += text


def _refuse(*_declaration: object) -> None:
    raise XmlError("it has a document type declaration")


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def written(name: str, *children: str, **attributes: str) -> str:
    """Returns an element around `children`, which are XML already; see `text`."""
    opening = "".join(f" {key.replace('_', ':')}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{opening}>{''.join(children)}</{name}>" if children else f"<{name}{opening}/>"


def text(name: str, value: str) -> str:
    """Returns an element around a text."""
    return f"<{name}>{escape(value)}</{name}>"
