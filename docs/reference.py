"""Writes the site's reference pages: configuration options from the JSON schema, the plug-in API from docstrings."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
API_MODULES = {
    "sightd.plugins.api": "plugins/api/__init__.py",
    "sightd.plugins.testing": "plugins/testing/__init__.py",
}

Schema = dict[str, Any]


def configuration(text: str | None = None) -> str:
    """Returns the option tables of the configuration file as Markdown, one section per top-level key."""
    schema = json.loads(text if text is not None else (ROOT / "config/sightd.schema.json").read_text(encoding="utf-8"))
    definitions: Schema = schema["$defs"]
    parts = []
    for name, section in schema["properties"].items():
        described = section if "description" in section else _object(section, definitions) or section
        parts.append(f"## `{name}`\n\n{_sentence(described)}\n")
        if name == "plugins":
            parts.append(_plugins(definitions))
        else:
            key = "NAME" if _entries(section, definitions) else ""
            rows = list(_options(section, definitions, key))
            parts.append(_table(rows) if rows else f"Value: {_type(section, definitions)}.\n")
    return "\n".join(parts)


def _plugins(definitions: Schema) -> str:
    plugins = {
        name.removeprefix("plugin:"): value for name, value in definitions.items() if re.fullmatch(r"plugin:\w+", name)
    }
    options = {name: dict(_named(_options(value, definitions, ""))) for name, value in plugins.items()}
    names = dict.fromkeys(key for rows in options.values() for key in rows)
    variants = {key: [rows[key] for rows in options.values() if key in rows] for key in names}
    everywhere = {key: rows for key, rows in variants.items() if len(rows) == len(options)}
    common = [max(rows, key=rows.count) for rows in everywhere.values()]
    parts = ["### Options of every plug-in\n", _table(common)]
    for name, rows in options.items():
        parts += [
            f"### `{name}`\n\n{_sentence(plugins[name])}\n",
            _table([r for r in rows.values() if r not in common]),
        ]
    return "\n".join(parts)


def _named(rows: Iterator[tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    return ((row[0], row) for row in rows)


def _options(schema: Schema, definitions: Schema, prefix: str) -> Iterator[tuple[str, ...]]:
    """Yields (key, type, default, description) of every option below `schema`; keys are dotted paths."""
    objects = [branch for branch in _branches(schema, definitions) if branch.get("properties")]
    entries = _entries(schema, definitions)
    if objects:
        rows = (row for branch in objects for row in _own_options(branch, definitions, prefix))
        yield from dict.fromkeys(rows)  # alternatives share options
    elif entries is not None:
        yield from _options(entries, definitions, prefix)


def _own_options(branch: Schema, definitions: Schema, prefix: str) -> Iterator[tuple[str, ...]]:
    for name, option in branch["properties"].items():
        key = f"{prefix}.{name}".lstrip(".")
        yield key, _type(option, definitions), _default(option), _sentence(option, definitions)
        yield from _nested(option, definitions, key)


def _nested(option: Schema, definitions: Schema, key: str) -> Iterator[tuple[str, ...]]:
    for branch in _branches(option, definitions):
        if branch.get("properties"):
            yield from _options(branch, definitions, key)
        elif (entries := _entries(branch, definitions)) is not None and _object(entries, definitions):
            yield from _options(entries, definitions, f"{key}.NAME")
        elif "items" in branch:
            yield from _nested(branch["items"], definitions, key)


def _branches(schema: Schema, definitions: Schema) -> list[Schema]:
    """Returns the alternatives of a value, without null and without the `${env:…}` form that every scalar allows."""
    if "$ref" in schema:
        return _branches(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    if "anyOf" in schema or "oneOf" in schema:
        inner = schema.get("anyOf") or schema["oneOf"]
        return [branch for part in inner for branch in _branches(part, definitions)]
    if schema.get("type") == "null" or r"\$\{(env|file)" in str(schema.get("pattern", "")):
        return []
    return [schema]


def _object(schema: Schema, definitions: Schema) -> Schema | None:
    return next((branch for branch in _branches(schema, definitions) if branch.get("properties")), None)


def _entries(schema: Schema, definitions: Schema) -> Schema | None:
    """Returns the schema of a mapping's values, if the mapping's keys are free."""
    for branch in _branches(schema, definitions):
        values = branch.get("additionalProperties")
        if not branch.get("properties") and isinstance(values, dict) and values:
            return values
        for values in branch.get("patternProperties", {}).values():
            if isinstance(values, dict) and not branch.get("properties"):
                return values
    return None


def _type(schema: Schema, definitions: Schema) -> str:
    kinds: list[str] = []
    for branch in _branches(schema, definitions):
        kind = _kind(branch, definitions)
        if kind not in kinds:
            kinds.append(kind)
    if "duration" in kinds or "size" in kinds:
        kinds = ["0" if kind == "`0`" else kind for kind in kinds]
    return " or ".join(kinds)


def _kind(branch: Schema, definitions: Schema) -> str:
    if "enum" in branch:
        return ", ".join(f"`{_plain(value)}`" for value in branch["enum"])
    if "const" in branch:
        return f"`{_plain(branch['const'])}`"
    kind = branch.get("type")
    kind = next((name for name in kind if name != "null"), "") if isinstance(kind, list) else kind
    if kind == "array":
        if "prefixItems" in branch:
            return f"[{', '.join(_type(item, definitions) for item in branch['prefixItems'])}]"
        inside = _type(branch["items"], definitions) if branch.get("items") else ""
        return f"list of ({inside})" if " or " in inside else f"list of {inside}" if inside else "list"
    if kind in ("integer", "number"):
        return kind + _bounds(branch)
    pattern = str(branch.get("pattern", ""))
    if "ms|s|m" in pattern:
        return "duration"
    if "KiB" in pattern:
        return "size"
    return {"object": "mapping", "string": "text", "boolean": "true or false", None: "any"}.get(kind, str(kind))


def _bounds(branch: Schema) -> str:
    low, high = branch.get("minimum"), branch.get("maximum")
    above, below = branch.get("exclusiveMinimum"), branch.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" {_plain(low)} to {_plain(high)}" if low != high else f" {_plain(low)}"
    texts = [
        f"{word} {_plain(value)}"
        for word, value in (("at least", low), ("above", above), ("at most", high), ("below", below))
        if value is not None
    ]
    return f" {' and '.join(texts)}" if texts else ""


def _default(option: Schema) -> str:
    value = option.get("default")
    if value is None or value == {} or value == []:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        for unit, scale in _units(option):
            if value >= scale and round(value / scale, 6).is_integer():
                return f"`{round(value / scale)}{unit}`"
    if isinstance(value, dict | list):
        return f"`{json.dumps(value, ensure_ascii=False)}`"
    return f"`{_plain(value)}`"


def _units(option: Schema) -> list[tuple[str, float]]:
    """Returns the units of a duration or a size, largest first, in what the schema stores: seconds or bytes."""
    text = json.dumps(option)
    if "ms|s|m" in text:
        return [("d", 86400), ("h", 3600), ("m", 60), ("s", 1), ("ms", 0.001)]
    return [("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)] if "KiB" in text else []


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


def _sentence(option: Schema, definitions: Schema | None = None) -> str:
    text = str(option.get("description", ""))
    if not text and definitions and "$ref" in option:
        text = str(definitions[option["$ref"].removeprefix("#/$defs/")].get("description", ""))
    examples = ", ".join(f"`{_plain(value)}`" for value in option.get("examples", []))
    return f"{text} Example: {examples}." if examples and text else text


def _table(rows: list[tuple[str, ...]]) -> str:
    lines = ["| option | value | default | |", "|---|---|---|---|"]
    for key, *others in rows:
        lines.append(f"| {' | '.join([f'`{key}`', *map(_cell, others)])} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    text = re.sub(r"\(docs/(\w+)\.md\)", r"([\1](\1.md))", " ".join(text.split()))
    return text.replace("|", "&#124;").replace("<", "&lt;")


def plugin_api() -> str:
    """Returns the public classes and functions of the plug-in API, with their docstrings, as Markdown."""
    return "\n".join(part for name, path in API_MODULES.items() for part in _module(name, ROOT / path))


def _module(name: str, path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield f"## `{name}`\n\n{_docstring(tree)}\n"
    yield from _members(tree.body, path, 3)


def _members(body: list[ast.stmt], path: Path, level: int) -> Iterator[str]:
    heading = "#" * level
    for node, after in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.ClassDef(name=name) if not name.startswith("_"):
                bases = ", ".join(ast.unparse(base) for base in node.bases)
                yield f"{heading} `{name}`\n\n```python\nclass {name}{f'({bases})' if bases else ''}\n```\n"
                yield f"{_docstring(node)}\n"
                yield from _fields(node)
                yield from _members(node.body, path, level + 1)
            case ast.FunctionDef(name=name) if not name.startswith("_"):
                decorators = "".join(f"@{ast.unparse(item)}\n" for item in node.decorator_list)
                result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
                signature = f"{decorators}def {name}({ast.unparse(node.args)}){result}"
                yield f"{heading} `{name}`\n\n```python\n{signature}\n```\n"
                yield f"{_docstring(node)}\n"
            case ast.Assign() | ast.AnnAssign() if level == 3 and (text := _string(after)):
                yield f"{heading} `{_target(node)}`\n\n```python\n{ast.unparse(node)}\n```\n\n{text}\n"
            case ast.ImportFrom() if path.name == "__init__.py":
                yield from _reexported(node, path, level)
            case ast.If(body=names) if path.name == "__init__.py":  # imported when they are used
                yield from _members(names, path, level)


def _reexported(node: ast.ImportFrom, path: Path, level: int) -> Iterator[str]:
    source = ROOT / ((node.module or "").removeprefix("sightd.").replace(".", "/") + ".py")
    if source.parent != path.parent or not source.exists():
        return
    wanted = {alias.name for alias in node.names}
    body = ast.parse(source.read_text(encoding="utf-8")).body
    chosen: list[ast.stmt] = []
    for item, after in zip(body, [*body[1:], None], strict=True):
        match item:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) if name in wanted:
                chosen.append(item)
            case ast.Assign() | ast.AnnAssign() if _target(item) in wanted and after is not None and _string(after):
                chosen += [item, after]
    yield from _members(chosen, source, level)


def _fields(node: ast.ClassDef) -> Iterator[str]:
    """Yields a list of the class's annotated attributes, each with the docstring that follows it."""
    lines = []
    for item, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and not item.target.id.startswith("_"):
            text = _string(after) or _description(item.value)
            lines.append(f"- `{item.target.id}: {ast.unparse(item.annotation)}`" + (f" – {text}" if text else ""))
    if lines:
        yield "\n".join(lines) + "\n"


def _description(value: ast.expr | None) -> str:
    """Returns the `description=` of a pydantic field."""
    if isinstance(value, ast.Call):
        for keyword in value.keywords:
            if keyword.arg == "description":
                return str(ast.literal_eval(keyword.value))
    return ""


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)


def _string(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(inspect.cleandoc(node.value.value).split())
    return ""


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    text = (ast.get_docstring(node) or "").replace("<", "&lt;")
    return re.sub(r"^((?:from|import) .*)\Z", r"```python\n\1\n```", text, flags=re.MULTILINE | re.DOTALL)
