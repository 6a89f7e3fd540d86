"""Shows the text of a configuration file without its secrets, and puts them back into a text that was edited.

A secret is shown as a placeholder: "***", or an address whose user and password are "***". Sent back unchanged, it
stands for the secret that was at this place. Anywhere else it is refused: those who may not read a secret must not have
it sent to another receiver. References such as ${file:PATH} are shown, because they are no secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from yaml import nodes

from sightd.daemon.common.redaction import MARK, is_secret_name, redact
from sightd.daemon.config.interpolation import without_references
from sightd.daemon.config.plugin_entries import PluginSource
from sightd.daemon.config.problems import ConfigError, LocatedProblem, PathKey
from sightd.daemon.config.secret_options import SecretOptions
from sightd.daemon.config.yaml import BOOL, NULL, STRING, Document, parse, position_of

_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[A-Za-z0-9._~-]*:?@")
"""The start of an address without its references, whose password was one."""
_BESIDE_REFERENCE = re.compile(r"(Basic|Bearer|Token)?\s*", re.IGNORECASE)
_COMMENT = re.compile(r"(?:(?<=\s)|^)#[^\r\n]*", re.MULTILINE)
_COMMENTED_OPTION = re.compile(r"([\w-]+)([\"']?\s*[:=]\s*[\"']?)([^\s\"'][^\r\n]*)")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
_BLOCK = ("|", ">")
_DESTINATIONS = ("url", "host", "port", "servers", "tls", "ca")
"""Options that say where the secrets of a sink or plug-in are sent, and how."""
_WITH_DESTINATION = {"delivery": 3, "plugins": 2}
"""Sections of such options, and how many steps of a path name one sink or plug-in."""
_Span = tuple[int, int]


def shown(value: str, *, secret: bool) -> str:
    """Returns a text of the file without secrets; if its option is a `secret`, "***" unless it is a reference."""
    rest = without_references(value)
    if secret:
        return value if _BESIDE_REFERENCE.fullmatch(rest) else MARK
    bare = _USER.sub(r"\1", rest, count=1)
    return value if rest != value and redact(bare) == bare else redact(value)


def shown_comment(comment: str) -> str:
    """Returns a comment without secrets, also those of options that are commented out."""

    def option(match: re.Match[str]) -> str:
        is_secret = is_secret_name(match[1]) or match[1] in ("url", "urls")
        return match[1] + match[2] + MARK if is_secret and without_references(match[3]).strip("\"' ") else match[0]

    return redact(_COMMENTED_OPTION.sub(option, comment))


@dataclass(frozen=True, slots=True)
class _Secret:
    """What is shown instead of a text, the text, and how it is written in the file, in brackets or not."""

    shown: str
    value: str
    written: str
    in_flow: bool


@dataclass(slots=True)
class _Scalar:
    """A scalar of a text. `span` is where its value is, behind its anchor and tag. `paths` are those of a value,
    several if aliases refer to it, and none of a key."""

    node: nodes.ScalarNode
    in_flow: bool
    span: _Span
    paths: list[PathKey] = field(default_factory=list)


class StoredText:
    """The text of a configuration file. Immutable."""

    def __init__(self, text: str, plugins: PluginSource) -> None:
        """Raises YamlSyntaxError if it is not YAML: nobody can tell what is secret in it then."""
        self.text = text
        self._plugins = plugins
        self._secrets: dict[PathKey, _Secret] = {}
        self._passages: dict[str, list[str]] = {}
        """Comments and keys with secrets, in their order, by what is shown instead."""
        document = parse(text)
        options, scalars = SecretOptions(document.value, plugins), _scalars(text, document)
        edits = list(self._hidden(text, scalars, options))
        for start, comment in _comments(text, scalars, [span for span, _ in edits]):
            if (short := shown_comment(comment)) != comment:
                self._passages.setdefault(short, []).append(comment)
                edits.append(((start, start + len(comment)), short))
        self.shown = _replaced(text, edits)
        """The text without secrets."""

    @cached_property
    def values(self) -> object:
        """The values of the file without secrets, references as they are written."""
        return parse(self.shown).value

    def restored(self, text: str, file: str) -> str:
        """Returns an edited text with the secrets that its placeholders stand for. Raises YamlSyntaxError if it is not
        YAML, ConfigError if a placeholder stands for nothing; `file` is for its message."""
        document = parse(text)
        options, scalars = SecretOptions(document.value, self._plugins), _scalars(text, document)
        edits: list[tuple[_Span, str]] = []
        problems: list[LocatedProblem] = []
        kept = {short: iter(passages) for short, passages in self._passages.items()}
        for one in scalars:
            if MARK not in one.node.value:
                continue
            if not one.paths and (secret := next(kept.get(text[slice(*one.span)], iter(())), None)):
                edits.append((one.span, secret))
            before = [self._secrets.get(path) for path in one.paths]
            if not any(before) and not any(map(options.holds_part, one.paths)):
                continue
            if told := self._refusal(one, before, document):
                problems.append(LocatedProblem(one.paths[0], *told, *position_of(one.node), file))
            elif before[0] is not None:
                edits.append((one.span, _as_before(one, before[0])))
        if problems:
            raise ConfigError(problems)
        for start, comment in _comments(text, scalars, [span for span, _ in edits]):
            if secret := next(kept.get(comment, iter(())), None):
                edits.append(((start, start + len(comment)), secret))
        return _replaced(text, edits)

    def _hidden(self, text: str, scalars: Sequence[_Scalar], options: SecretOptions) -> Iterator[tuple[_Span, str]]:
        for one in scalars:
            value = one.node.value
            if one.node.tag in (NULL, BOOL):
                continue
            is_text = one.node.tag == STRING
            short = shown(value, secret=any(options.holds(path, is_text=is_text) for path in one.paths))
            if short != value:
                written = text[slice(*one.span)]
                in_style = _in_style_of(written, short)
                yield one.span, in_style
                if not one.paths:
                    self._passages.setdefault(in_style, []).append(written)
                self._secrets |= dict.fromkeys(one.paths, _Secret(short, value, written, one.in_flow))

    def _refusal(self, scalar: _Scalar, before: Sequence[_Secret | None], document: Document) -> tuple[str, str] | None:
        """Returns why a placeholder stands for nothing, and what to do; None if it stands for a secret."""
        if any(one is None or one.shown != scalar.node.value or one.value != before[0].value for one in before):  # type: ignore[union-attr]
            return (
                f"{MARK} stands for a secret only at its own place, and only if nothing else of the text is changed",
                "write the secret again, preferably as ${file:PATH} or ${env:NAME}",
            )
        path = scalar.paths[0]
        at = path[: _WITH_DESTINATION.get(str(path[0]), 0)]
        old, new = _mapping_at(self.values, at), _mapping_at(document.value, at)
        if at and any(old.get(key) != new.get(key) for key in _DESTINATIONS):
            return (
                f"{MARK} stands for a secret of another receiver: url, host, port, servers, tls or ca has changed",
                "write the secret again, preferably as ${file:PATH} or ${env:NAME}",
            )
        return None


def _scalars(text: str, document: Document) -> list[_Scalar]:
    """Returns all scalars of a text in their order, also keys."""
    found: dict[int, _Scalar] = {}
    waiting, seen = [(document.root, False)], set[int]()
    while waiting:
        node, in_flow = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, nodes.ScalarNode):
            start, end = node.start_mark.index, node.end_mark.index
            if properties := _PROPERTIES.match(text, start, end):
                start = properties.end()
            found[id(node)] = _Scalar(node, in_flow, (start, end))
            continue
        assert isinstance(node, nodes.CollectionNode)
        in_flow = in_flow or bool(node.flow_style)
        parts = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
        waiting += [(part, in_flow) for part in reversed(parts)]  # in order: an anchor is before its aliases
    for path, scalar in document.scalars.items():
        found[id(scalar)].paths.append(path)
    return sorted(found.values(), key=lambda one: one.span)


def _mapping_at(value: object, path: PathKey) -> Mapping[str, object]:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _comments(text: str, scalars: Sequence[_Scalar], replaced: Sequence[_Span]) -> Iterator[tuple[int, str]]:
    """Yields the comments of a text with their positions, except for those within what is replaced."""
    begin = 0
    for start, end in [*(one.span for one in scalars), (len(text), len(text))]:
        if text[start : start + 1] in _BLOCK and (start, end) not in replaced:
            start = text.find("\n", start)  # behind the comment of its first line
        for match in _COMMENT.finditer(text, begin, max(begin, start)):
            yield match.start(), match[0]
        begin = max(begin, end)


def _replaced(text: str, edits: Sequence[tuple[_Span, str]]) -> str:
    for (start, end), new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _in_style_of(written: str, short: str) -> str:
    """Writes what is shown like what it replaces."""
    if written[:1] == "'":
        return "'" + short.replace("'", "''") + "'"
    is_plain = written[:1] not in ('"', *_BLOCK) and "\n" not in written
    if is_plain and not short.startswith("*") and ": " not in short and " #" not in short:
        return short
    return json.dumps(short, ensure_ascii=False) + ("\n" if written.endswith("\n") else "")


def _as_before(scalar: _Scalar, secret: _Secret) -> str:
    """Writes a secret as it was written, or in quotes if that could mean something else at this place."""
    written = secret.written
    in_quotes = written[:1] in ("'", '"')
    if "\n" not in written and (in_quotes or (written[:1] not in _BLOCK and scalar.in_flow <= secret.in_flow)):
        return written
    return json.dumps(secret.value, ensure_ascii=False)
