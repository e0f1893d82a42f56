"""The page of a fleet in a browser, and a report of a large image."""

import json

import pytest

from tests.report.browser import PROGRAM, Browser
from tests.report.test_report import HOSTILE, HVM1, hostile, report  # noqa: F401 - a fixture
from xensave.cli import main
from xensave.fleet.plan import UpgradeStep
from xensave.testing.sparse import write_sparse_image


@pytest.fixture(scope="module")
def fleet(hostile, tmp_path_factory):  # noqa: F811
    """A table of the examples and of a guest and a file with hostile names."""
    pytest.importorskip("duckdb", reason="pip install 'xensave[fleet]'")
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "<img src=x onerror=alert(2)>.img").symlink_to(hostile)
    (folder / "<b>text").write_text("no image")
    table = folder / "fleet.parquet"
    words = ["scan", "examples", str(folder), "-t", "4.13.5", "-t", "4.21.0", "-o", str(table)]
    assert main(words) == 1
    return table


@pytest.mark.skipif(PROGRAM is None, reason="NO BROWSER: install chromium")
def test_a_fleet(fleet, tmp_path):
    page = tmp_path / "fleet.html"
    code, text = report(page, fleet)
    assert code == 0
    assert HOSTILE not in text
    assert "<img" not in text
    browser = Browser(tmp_path / "profile")
    try:
        for width in (400, 1400):
            browser.open(page, width=width)
            assert browser.complaints == []
            asked = {url for url in browser.requests if not url.startswith("data:")}
            assert asked == {page.as_uri()}
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
        script = "JSON.stringify([...document.querySelectorAll('h2')].map(h => h.innerText))"
        assert json.loads(browser.evaluate(script)) == [
            "The fleet",
            "What Xen 4.13.5 makes of it",
            "What Xen 4.21.0 makes of it",
            "What could not be read",
        ]
        assert browser.evaluate("document.title") == "A fleet of saved guests"
        # What is said of the hostile guest stands there as text.
        assert HOSTILE in browser.evaluate("document.body.innerText")
    finally:
        browser.close()


def test_a_fleet_counts_what_plan_counts(fleet, tmp_path, capsys):
    _, text = report(tmp_path / "fleet.html", fleet)
    for target in ("4.13.5", "4.21.0"):
        main(["plan", str(fleet), "-t", target, "--json"])
        steps = [each["step"] for each in json.loads(capsys.readouterr().out)["images"]]
        part = text.split(f"What Xen {target} makes of it", 1)[1].split("<h2", 1)[0]
        for step in set(steps):
            cells = f'>{steps.count(step)}</td><td class="">{UpgradeStep(step).text}</td>'
            assert f'<td class="right"{cells}' in part


def test_tables_are_told_by_their_bytes_and_reported_alone(fleet, tmp_path, capsys):
    other = tmp_path / "called.img"
    other.write_bytes(fleet.read_bytes())
    assert "A fleet of saved guests" in report(tmp_path / "page.html", other)[1]
    assert main(["report", str(fleet), str(HVM1), "-o", str(tmp_path / "none.html")]) == 2
    assert "alone" in capsys.readouterr().err


def test_a_large_image_is_looked_at_by_a_glance(tmp_path):
    image = tmp_path / "large.img"
    write_sparse_image(image, 1 << 30)
    code, text = report(tmp_path / "glance.html", image)
    assert (code, "passed over (--walk)" in text) == (0, True)
    code, text = report(tmp_path / "walk.html", image, "--walk")
    assert (code, "passed over" in text) == (0, False)
