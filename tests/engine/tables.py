"""Tables of rules for the docs: `python -m tests.engine.tables` writes them into their pages."""

from pathlib import Path

from xensave.engine.pv import judge
from xensave.policy import host, limits
from xensave.policy.steps import clamp, compatible, invent
from xensave.rules.stream.table import rules as stream_rules
from xensave.toolstack import restore
from xensave.toolstack.libxc import param_rules

DOCS = Path(__file__).parents[2] / "docs/reference/restore"
BEGIN, END = "<!-- rules -->\n", "<!-- end -->"
POLICY = (
    *limits.DIFFERENCES,
    *compatible.DIFFERENCES,
    *clamp.DIFFERENCES,
    *host.DIFFERENCES,
    *invent.DIFFERENCES,
)


def span(since, until):
    first = f"from {', '.join(since)}" if since else "always"
    return f"{first}, until {', '.join(until)}" if until else first


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    return "".join(f"{line}\n" for line in [*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def pv_table():
    rules = [
        (rule.id, rule.record, span(rule.since, rule.until), rule.errno, rule.says, str(rule.cite))
        for rule in judge.RULES
    ]
    dated = [
        (each.id, each.record, span(each.since, each.until), "", each.sentence, str(each.cite))
        for each in judge.DATED
    ]
    return table(("rule", "record", "in force", "errno", "what", "where"), [*rules, *dated])


def policy_table():
    rows = [
        (each.id, span(each.since, each.until), each.sentence, str(each.cite)) for each in POLICY
    ]
    return table(("difference", "in force", "what", "where"), rows)


def restore_table():
    rules = [
        (str(rule.layer), rule.id, rule.record, rule, rule.says, rule.cite)
        for rule in restore.RULES
    ]
    readers = [
        (reader.layer, rule.id, rule.id.split("_")[0].lower(), reader, rule.sentence, reader.cite)
        for rule in stream_rules()
        for reader in rule.readers
    ]
    set_by_xen = [
        (
            "Xen",
            rule.id,
            "libxc HVM_PARAMS",
            period,
            f"{rule.says}: {', '.join(period.names)}",
            period.cite,
        )
        for rule in param_rules.RULES
        for period in rule.periods
    ]
    order = ("xl", "libxl", "libxc", "Xen")
    found = sorted([*rules, *readers, *set_by_xen], key=lambda row: order.index(row[0]))
    rows = [
        (layer, name, place, span(dated.since, dated.until), says, str(cite))
        for layer, name, place, dated, says, cite in found
    ]
    return table(("reader", "rule", "of", "in force", "what", "where"), rows)


PAGES = {"pv.md": pv_table, "policy.md": policy_table, "restore.md": restore_table}


def parts(name):
    """The page before the table, the table, and the page after it."""
    head, _, rest = (DOCS / name).read_text().partition(BEGIN)
    shown, _, tail = rest.partition(END)
    return head, shown, tail


if __name__ == "__main__":
    for page, make in PAGES.items():
        before, _, after = parts(page)
        (DOCS / page).write_text(f"{before}{BEGIN}{make()}{END}{after}")
