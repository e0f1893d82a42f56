"""The documentation as a site: built without a warning, and opened page by page in a browser."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.report.browser import PROGRAM, Browser

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: pip install 'xensave[docs]'")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("chromium is not installed: the site was not opened in a browser")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def pages(site):
    return sorted(site.rglob("*.html"))


def test_every_page_of_the_docs_is_in_the_site(site):
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        name = name.with_name("index.html") if name.name == "README.html" else name
        assert (site / name).exists(), name
    for name in ("PROJECT", "CONTRIBUTING", "CHANGELOG", "reference/python"):
        assert (site / f"{name}.html").exists()
    assert (site / "search" / "search_index.json").stat().st_size > 100_000


def test_no_page_complains_and_no_link_is_dead(site, browser):
    anchors, links = {}, {}
    for page in pages(site):
        if page.name == "404.html":
            continue
        browser.open(page)
        # A page opened as a file may not fetch the search index: that, and only that, is blocked.
        complaints = [str(c) for c in browser.complaints if "search" not in str(c)]
        assert not complaints, (page, complaints)
        assert not [url for url in browser.requests if not url.startswith(("file:", "data:"))], page
        assert browser.evaluate("document.querySelector('h1').innerText.length") > 0
        assert browser.evaluate("[...document.images].every(i => i.naturalWidth > 0)"), page
        anchors[page] = set(
            browser.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        )
        links[page] = set(browser.evaluate("[...document.links].map(a => a.href)"))
    dead = []
    for page, urls in links.items():
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme != "file":
                continue
            target = Path(unquote(parts.path))
            known = target.exists() and (
                not parts.fragment
                or target not in anchors
                or unquote(parts.fragment) in anchors[target] | {"__skip"}
            )
            if not known:
                dead.append((page.name, url))
    assert not dead
    assert len(links) > 40


def test_the_reference_has_what_docstrings_say(site, browser):
    browser.open(site / "reference/python.html")
    text = browser.evaluate("document.body.innerText")
    assert "A save image, a libxl or libxc stream, or a bare HVM context." in text
    assert ">>> " in text
