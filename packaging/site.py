"""Hooks of MkDocs: the pages outside docs, and the reference that docstrings make."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# What lies above docs, and what it is called in the site: README would be a second index.
OUTSIDE = {
    "README.md": "PROJECT.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
PUBLIC = (
    "xensave",
    "xensave.image.image",
    "xensave.image.input",
    "xensave.context",
    "xensave.context_columns",
    "xensave.catalogue",
    "xensave.records.codec",
    "xensave.records.flat",
    "xensave.container.format",
    "xensave.engine.hypervisor",
    "xensave.engine.domain",
    "xensave.engine.verdict",
    "xensave.toolstack.judge",
    "xensave.convert.apply",
    "xensave.convert.plan",
    "xensave.memory",
    "xensave.errors",
    "xensave.findings",
    "xensave.views.schemas",
    "xensave.testing.streams",
)
_LINK = re.compile(r"\[([^\]\n]*)\]\(([^)#\s:]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs."""
    for name, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    parts = "\n\n".join(f"::: {module}" for module in PUBLIC)
    text = f"# The Python API in full\n\n[A guided tour](api.md) comes first.\n\n{parts}\n"
    files.append(File.generated(config, "reference/python.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links that lead out of docs, or into it from above, lead to the site's pages.

    What the site does not have (the licence) is named without a link.
    """
    return _LINK.sub(lambda match: _moved(match, PurePosixPath(page.file.src_uri)), markdown)


def _moved(match: re.Match[str], page: PurePosixPath) -> str:
    text, link, anchor = match[1], match[2], match[3] or ""
    depth = len(page.parts) - 1
    if page.name in OUTSIDE.values() and not depth:
        if link.startswith("docs/"):
            return f"[{text}]({link.removeprefix('docs/')}{anchor})"
        return f"[{text}]({OUTSIDE[link]}{anchor})" if link in OUTSIDE else text
    above = "../" * (depth + 1)
    if link.startswith(above):
        name = link.removeprefix(above)
        return f"[{text}]({'../' * depth}{OUTSIDE[name]}{anchor})" if name in OUTSIDE else text
    return match[0]
