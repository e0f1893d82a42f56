"""Tables of rules for the docs: `python -m tests.engine.tables` writes them into their pages."""

from pathlib import Path

from xensave.container.formats import format_named
from xensave.engine.handlers import table as handlers
from xensave.engine.pv import judge
from xensave.policy import host, limits
from xensave.policy.steps import clamp, compatible, invent
from xensave.rules.stream.table import checks
from xensave.rules.stream.table import rules as stream_rules
from xensave.toolstack import restore, scope
from xensave.toolstack.libxc import param_rules

DOCS = Path(__file__).parents[2] / "docs/reference/restore"
END = "<!-- end -->"
READERS = ("libvirt", "xenopsd", "xl", "libxl", "libxc", "Xen")
"""Who reads an image, from the outside in."""
LAYERS = {"XL": "xl", "LIBXL": "libxl", "LIBXC": "libxc", "PARAM": "Xen"}
"""Who reads what a row of the toolstack is about, by the first word of its id."""
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


def handlers_table():
    rows = []
    for rule in (*handlers.DATED, *handlers.RULES):
        checked = " (check)" if getattr(rule, "stage", "load") == "check" else ""
        dates, errno = span(rule.since, rule.until), getattr(rule, "errno", "")
        text = f"{rule.sentence}{checked}"
        rows.append((rule.id, rule.record or "any", dates, errno, text, str(rule.cite)))
    return table(("rule", "record", "in force", "errno", "what", "where"), rows)


def pv_table():
    rows = [
        (
            row.id,
            row.record,
            span(row.since, row.until),
            getattr(row, "errno", ""),
            row.sentence,
            str(row.cite),
        )
        for row in (*judge.RULES, *judge.DATED)
    ]
    return table(("rule", "record", "in force", "errno", "what", "where"), rows)


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
    dated = [
        (LAYERS[row.id.split("_")[0]], row.id, row.record, row, row.sentence, row.cite)
        for row in restore.DATED
    ]
    found = sorted([*rules, *dated, *readers, *set_by_xen], key=lambda row: READERS.index(row[0]))
    rows = [
        (layer, name, place, span(dated.since, dated.until), says, str(cite))
        for layer, name, place, dated, says, cite in found
    ]
    return table(("reader", "rule", "of", "in force", "what", "where"), rows)


def looked_at(check):
    """What of an image a check of the formats looks at: its header, or records by name."""
    named = format_named(check.layer).records
    if check.header:
        return [f"{check.layer} {check.header}"]
    if check.types is None:
        return [f"{check.layer} record headers"]
    return [f"{check.layer} {named[type_]}" for type_ in check.types if type_ in named]


def asked():
    """Every row that may refuse: its reader, its id, what of an image it is about, and its row."""
    for rule in restore.RULES:
        yield str(rule.layer), rule.id, rule.record, rule
    for check in checks():
        for rule in check.rules:
            for reader in rule.readers:
                for what in looked_at(check):
                    yield reader.layer, rule.id, what, reader
    for rule in judge.RULES:
        yield str(rule.layer), rule.id, f"libxc {rule.record}", rule
    yield from asked_by_xen()


def asked_by_xen():
    """The same of params, of the CPU policy and of the HVM context."""
    for rule in param_rules.RULES:
        for period in rule.periods:
            yield "Xen", rule.id, "libxc HVM_PARAMS", period
    for row in POLICY:
        yield "Xen", row.id, f"libxc {row.record}", row
    for row in (*handlers.DATED, *handlers.RULES):
        yield "Xen", row.id, f"HVM {row.record or 'record headers'}", row


def readers_table():
    """Each reader: its rules, how many of them have dates, of what, and what no rule looks at."""
    rows = []
    for layer in READERS:
        own = [row for row in asked() if row[0] == layer]
        dated = {id_ for _, id_, _, row in own if row.since or row.until}
        places = {}
        for _, _, what, _ in own:
            whose, _, name = what.partition(" ")
            places.setdefault(whose, {})[name] = None
        rows.append(
            (
                layer,
                str(len({id_ for _, id_, _, _ in own})),
                str(len(dated)),
                "; ".join(f"{whose} {', '.join(names)}" for whose, names in places.items()),
                "; ".join(each.sentence for each in scope.ASSUMPTIONS if each.layer == layer),
                "; ".join(each.what for each in scope.UNSEEN if each.layer == layer),
            )
        )
    head = ("reader", "rules", "with dates", "of", "taken for granted", "not looked at")
    return table(head, rows)


PAGES = {
    ("engine.md", "dated rules"): handlers_table,
    ("pv.md", "rules"): pv_table,
    ("policy.md", "rules"): policy_table,
    ("restore.md", "rules"): restore_table,
    ("restore.md", "readers"): readers_table,
}
"""Each table: its page, and what the mark before it is called."""


def parts(name, mark):
    """The page before a table, the table, and the page after it."""
    begin = f"<!-- {mark} -->\n"
    head, _, rest = (DOCS / name).read_text().partition(begin)
    shown, _, tail = rest.partition(END)
    return head + begin, shown, END + tail


if __name__ == "__main__":
    for (page, mark), make in PAGES.items():
        before, _, after = parts(page, mark)
        (DOCS / page).write_text(f"{before}{make()}{after}")
