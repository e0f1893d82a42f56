"""The docs' table of rules is what the code says."""

import os
from pathlib import Path

from xensave.catalogue.dates import series_numbers
from xensave.engine.handlers import table, xsave
from xensave.engine.handlers.msr import MSRS
from xensave.engine.loop import load as loop

PAGE = Path(__file__).parents[2] / "docs/reference/restore/engine.md"
BEGIN, END = "<!-- dated rules -->\n", "<!-- end -->"


def span(since, until):
    first = f"from {', '.join(since)}" if since else "always"
    return f"{first}, until {', '.join(until)}" if until else first


def generated():
    rows = []
    for rule in (*loop.DATED, table.DEVICES, *table.RULES, *xsave.DATED):
        errno = getattr(rule, "errno", "")
        stage = f" ({rule.stage})" if getattr(rule, "stage", "load") == "check" else ""
        rows.append(
            (
                rule.id,
                rule.record or "any",
                span(rule.since, rule.until),
                errno,
                f"{rule.sentence}{stage}",
                str(rule.cite),
            )
        )
    for msr in MSRS:
        vendor = {True: " on AMD CPUs", False: " on Intel CPUs", None: ""}[msr.amd]
        text = f"MSR {msr.number:#x} ({msr.name}) may be loaded{vendor}"
        rows.append(
            (
                "MSR_UNKNOWN",
                "CPU_MSR",
                span(msr.since, msr.until),
                "ENXIO",
                text,
                "hvm_load_cpu_msrs()",
            )
        )
    lines = ["| rule | record | in force | errno | what | where |", "| --- " * 6 + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def test_the_page_has_the_table_of_the_code():
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    shown, _, tail = rest.partition(END)
    if os.environ.get("XENSAVE_WRITE_PAGES"):
        PAGE.write_text(f"{head}{BEGIN}{generated()}{END}{tail}")
        return
    assert shown == generated(), "stale: XENSAVE_WRITE_PAGES=1 with this test writes it anew"


def test_a_date_names_a_point_release_of_each_series_but_the_last():
    for rule in (*loop.DATED, *table.RULES, *xsave.DATED):
        for dates in (rule.since, rule.until):
            numbers = [series_numbers(date) for date in dates]
            assert numbers == sorted(numbers)
            assert len({number[:2] for number in numbers}) == len(numbers)
