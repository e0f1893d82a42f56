"""The report's pages in a browser: what they ask for, say, show and leave out."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

import xensave
from tests.report.browser import PROGRAM, Browser
from xensave.cli import main
from xensave.container.frames.xl import OptionalData
from xensave.container.framing import pack_record
from xensave.container.streams import libxl
from xensave.report.charts import bar

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "images"
HVM1 = ROOT / "examples" / "hvm1.img.zst"
IMAGES = [HVM1, ROOT / "examples" / "pvh1.ctx", *sorted(SHARED.glob("*.zst"))]
HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)>"\'&'
SECRET = "correct horse battery staple"
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="NO BROWSER: install chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


def report(out, *words):
    code = main(["report", *map(str, words), "-o", str(out)])
    return code, out.read_text()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The sample with a name, keys and a configuration that are out to be run or to be kept."""
    folder = tmp_path_factory.mktemp("hostile")
    data = zstandard.ZstdDecompressor().decompress(HVM1.read_bytes(), max_output_size=1 << 26)
    parts = []
    with xensave.open(data) as image:
        for event in image.events():
            if event.label == "xl header":
                config = json.loads(OptionalData.parse(event.body()).text)
                config["c_info"]["name"] = HOSTILE
                config["b_info"]["cmdline"] = f"password={SECRET}"
                optional = OptionalData(json.dumps(config).encode() + b"\0").to_bytes()
                parts.append(event.header._replace(optional_length=len(optional)).to_bytes())
                parts.append(optional)
            elif event.label == "libxl EMULATOR_CONTEXT":
                pairs = {f"key/{HOSTILE}": SECRET, "key/name": HOSTILE}
                words = "".join(f"{key}\0{value}\0" for key, value in pairs.items()).encode()
                body = bytes(event.body())[:8] + words
                parts += [event.to_bytes(), pack_record(libxl.EMULATOR_XENSTORE_DATA, body)]
            else:
                parts.append(event.to_bytes())
    path = folder / "hostile.img"
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
@needs_browser
def test_a_sample(path, browser, tmp_path):
    page = tmp_path / "report.html"
    assert report(page, path)[0] == 0
    for width in (400, 1400):
        browser.open(page, width=width)
        assert browser.complaints == []
        assert {url for url in browser.requests if not url.startswith("data:")} == {page.as_uri()}
        # Wide tables scroll in their own boxes; the page itself does not.
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        browser.screenshot(tmp_path / f"{width}.png")
        assert (tmp_path / f"{width}.png").stat().st_size > 10_000
    assert browser.evaluate("document.querySelectorAll('script').length") == 0
    assert browser.evaluate("document.querySelectorAll('h2').length") == 8
    assert (
        browser.evaluate("document.querySelectorAll('#guest-1-releases ~ .scroll tbody').length")
        > 27
    )


@needs_browser
def test_hostile_text_stays_text(hostile, browser, tmp_path):
    page = tmp_path / "report.html"
    assert report(page, hostile, "--full")[0] == 0
    browser.open(page)
    assert browser.complaints == []
    assert browser.evaluate("document.title") == HOSTILE
    assert browser.evaluate("document.querySelector('h1').textContent") == HOSTILE
    assert browser.evaluate("document.querySelectorAll('script, img').length") == 0
    assert SECRET in browser.evaluate("document.body.textContent")


def test_what_may_be_secret_is_left_out(hostile, tmp_path):
    _, text = report(tmp_path / "report.html", hostile)
    assert SECRET not in text
    assert "key/name" in text
    assert "xmm[0]" not in text
    _, full = report(tmp_path / "full.html", hostile, "--full")
    assert SECRET in full
    assert "xmm[0]" in full


# The relative luminance and contrast of WCAG 2.2, 1.4.3.
def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(colour, other):
    light, dark = sorted((luminance(colour), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TEXTS = """
[...document.querySelectorAll('body *')].filter(e => !e.closest('svg, style') &&
  [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
  let behind = e, back;
  while (behind) {
    back = getComputedStyle(behind).backgroundColor;
    if (!back.endsWith(', 0)') && back !== 'transparent') break;
    behind = behind.parentElement;
  }
  return [e.tagName + '.' + e.className, getComputedStyle(e).color, back];
})
"""


@pytest.mark.parametrize(("scheme", "media"), [("light", ""), ("dark", ""), ("dark", "print")])
@needs_browser
def test_every_text_can_be_read(scheme, media, browser, tmp_path):
    page = tmp_path / "report.html"
    report(page, HVM1, ROOT / "examples" / "pvh1.ctx", "--full")
    browser.open(page, scheme=scheme, media=media)
    found = {tuple(text) for text in browser.evaluate(TEXTS)}
    assert len(found) > 10
    poor = [text for text in found if contrast(text[1], text[2]) < 4.5]
    assert poor == []
    # What a bar's colours have to stand out from (1.4.11).
    page_colour = browser.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    for fill in browser.evaluate(
        "[...document.querySelectorAll('rect')].map(e => getComputedStyle(e).fill)"
    ):
        assert contrast(fill, page_colour) >= 3


@needs_browser
def test_an_index_of_several(browser, tmp_path):
    page = tmp_path / "report.html"
    broken = tmp_path / "broken.img"
    data = zstandard.ZstdDecompressor().decompress(HVM1.read_bytes(), max_output_size=1 << 26)
    broken.write_bytes(data[:-10_000])
    code, _ = report(page, HVM1, ROOT / "examples" / "pvh1.ctx", broken, "--title", "A <fleet>")
    assert code == 1
    browser.open(page)
    assert browser.complaints == []
    assert browser.evaluate("document.querySelector('h1').textContent") == "A <fleet>"
    assert browser.evaluate("document.querySelectorAll('.matrix tbody tr').length") == 3
    assert browser.evaluate("document.querySelector('#guest-3').textContent").count("input ends")
    links = browser.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert len(links) > 10
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map(e => '#' + e.id)")
    assert set(links) <= set(ids)


@pytest.mark.parametrize("width", [400, 1400])
@needs_browser
def test_the_releases(width, browser, tmp_path):
    page = tmp_path / "releases.html"
    assert main(["report", "--releases", "-o", str(page)]) == 0
    browser.open(page, width=width)
    assert browser.complaints == []
    assert {url for url in browser.requests if not url.startswith("data:")} == {page.as_uri()}
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.querySelectorAll('.matrix tbody tr').length") == 2 * 28
    poor = [t for t in browser.evaluate(TEXTS) if contrast(t[1], t[2]) < 4.5]
    assert poor == []
    text = browser.evaluate("document.body.textContent")
    # One of each part: a number's owner, a layout's commit, a difference's citation.
    assert "Amazon" in text
    assert 'b28b590d4a "x86/vlapic: Fix handling of writes to APIC_ESR"' in text
    assert "80872597e6" in text
    cell = "document.querySelectorAll('.matrix tbody tr')[25].querySelectorAll('td span')[21].title"
    assert browser.evaluate(cell).startswith("4.21 on 4.17: refused")


@needs_browser
def test_what_cannot_be_read_is_said_and_the_rest_shown(browser, tmp_path):
    """A page type that libxc refuses: the image has a summary and answers, and no memory."""
    data = bytearray(
        zstandard.ZstdDecompressor().decompress(HVM1.read_bytes(), max_output_size=1 << 26)
    )
    with xensave.open(bytes(data)) as image:
        first = next(event for event in image.events() if event.name == "PAGE_DATA")
    data[first.body_offset + 8 + 7] = 0x50
    broken = tmp_path / "broken.img"
    broken.write_bytes(data)
    page = tmp_path / "report.html"
    assert report(page, broken)[0] == 1
    browser.open(page)
    assert browser.complaints == []
    text = browser.evaluate("document.body.textContent")
    assert "reserved page type 0x5" in text
    assert "Records of the streams" in text
    assert "The image holds no memory." in text


def test_a_bar_is_filled_whole():
    found = bar("", [(str(kind), "", kind + 1) for kind in range(12)], logarithmic=True)
    assert sum(segment.width for segment in found.segments) == pytest.approx(1000, abs=0.1)
    assert [segment.colour for segment in found.segments] == [*range(8), 7, 7, 7, 7]
    assert bar("", [("a", "", 0)]) is None


def test_from_a_pipe_and_to_one():
    command = [sys.executable, "-m", "xensave", "report", "-"]
    ended = subprocess.run(command, input=HVM1.read_bytes(), capture_output=True, check=True)
    assert b"<h1>hvm1</h1>" in ended.stdout


def test_no_such_image(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
