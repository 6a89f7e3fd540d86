"""MkDocs hooks: fills in the generated pages and adds the repository's files that pages link to.

Pages link to files the way GitHub shows them (`../config/sightd.yaml`), so that both the repository and the site work.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from pygments.formatters import HtmlFormatter

sys.path.insert(0, str(Path(__file__).parent))
import reference

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")
_GENERATED = {"<!-- configuration -->": reference.configuration, "<!-- plugin-api -->": reference.plugin_api}
_STYLE = """
.wy-nav-content { max-width: 68rem; }
.wy-table-responsive table td, .wy-table-responsive table th, td code { white-space: normal; }
.wy-table-responsive table td { vertical-align: top; }
"""
_LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".py": "python", ".service": "ini", ".json": "json", ".toml": "toml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the linked files of the repository below `repository/`, and the style sheet of code blocks."""
    css = HtmlFormatter(style="default").get_style_defs(".codehilite") + _STYLE
    files.append(File.generated(config, "site.css", content=css))
    waiting = [
        ("docs/" + file.src_uri, Path(file.abs_src_path)) for file in files.documentation_pages() if file.abs_src_path
    ]
    added: set[str] = set()
    while waiting:
        path, source = waiting.pop()
        if source.suffix != ".md":
            continue
        for target in _outside(source.read_text(encoding="utf-8"), path):
            if target not in added:
                added.add(target)
                files.append(_file(config, target))
                waiting.append((target, ROOT / target))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills in generated parts, and points links that leave `docs/` to the copies on the site."""
    for marker, generate in _GENERATED.items():
        if marker in markdown:
            markdown = markdown.replace(marker, generate())
    origin = _repository_path(page.file.src_uri)

    def site(match: re.Match[str]) -> str:
        start, link, anchor = match.groups()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
        here = posixpath.dirname(page.file.src_uri) or "."
        return f"{start}{posixpath.relpath(_site_path(target), here)}{anchor or ''}"

    return _LINK.sub(site, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Fails if a page would load anything from another host."""
    foreign = re.compile(
        r"""<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>|@import|url\(["']?(?:https?:)?//"""
    )
    for path in Path(config.site_dir).rglob("*"):
        if path.suffix in (".html", ".css") and (found := foreign.search(path.read_text(encoding="utf-8"))):
            raise PluginError(f"{path.name} loads something from another host: {found[0][:120]}")


def _outside(markdown: str, origin: str) -> set[str]:
    """Returns the repository files outside `docs/` that a page links to."""
    targets = {
        posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[2])) for match in _LINK.finditer(markdown)
    }
    return {target for target in targets if not target.startswith("docs/") and (ROOT / target).is_file()}


def _repository_path(uri: str) -> str:
    if uri.startswith("repository/"):
        path = uri.removeprefix("repository/")
        return path if (ROOT / path).is_file() else path.removesuffix(".md")
    return "docs/" + uri


def _site_path(path: str) -> str:
    """Returns where a repository file is on the site. Source files become pages of their own."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    shown_as_page = Path(path).suffix != ".md" and _is_source(path)
    return f"repository/{path}.md" if shown_as_page else f"repository/{path}"


def _is_source(path: str) -> bool:
    return Path(path).suffix in _LANGUAGES or not Path(path).suffix


def _file(config: MkDocsConfig, path: str) -> File:
    source = ROOT / path
    uri = _site_path(path)
    if Path(path).suffix == ".md" or not _is_source(path):
        return File.generated(config, uri, abs_src_path=str(source), inclusion=InclusionLevel.NOT_IN_NAV)
    language = _LANGUAGES.get(source.suffix, "text")
    text = f"# {path}\n\n````{language}\n{source.read_text(encoding='utf-8')}\n````\n"
    return File.generated(config, uri, content=text, inclusion=InclusionLevel.NOT_IN_NAV)
