"""The walk in runs beside the plain one."""

import os
import struct
import threading
from contextlib import suppress

from xensave.container.runs import PageRun, walk_in_runs
from xensave.container.streams.libxc_records import PAIR
from xensave.container.walk import walk
from xensave.errors import XensaveError
from xensave.image.tally import tally
from xensave.rules.stream.run import Verification
from xensave.source import open_source


def seen(events, listed="none"):
    """Return what a walk gave, and how it ended; what a run says of PFNs is what its records do."""
    told = []
    try:
        for event in events:
            if isinstance(event, PageRun):
                compare_pfns(event, listed)
            for each in event.apart() if isinstance(event, PageRun) else (event,):
                told.append(
                    (each.label, each.offset, each.length, bytes(each.prefix(16)), each.end)
                )
    except XensaveError as error:
        told.append((type(error).__name__, error.offset, error.record, error.message))
    return told


def compare_pfns(run, listed):
    """Hold the PFNs that a run tells against those in the bodies of its records."""
    bodies = [each.prefix(PAIR.size + 8 * run.count)[PAIR.size :] for each in run.apart()]
    rows = [list(struct.unpack(f"<{run.count}Q", body)) for body in bodies]
    if listed == "all":
        assert run.pfns().tolist() == rows
    elif listed == "first":
        assert run.firsts() == [row[0] for row in rows]
        for some in (range(run.records), range(0, run.records, 3)):
            assert run.lasts(some) == [rows[number][-1] for number in some]


def piped(data, size):
    """Return what a walk gives of a pipe whose bytes come so many at once."""
    read, write = os.pipe()

    def feed():
        with open(write, "wb", buffering=0) as pipe, suppress(BrokenPipeError):
            for at in range(0, len(data), size):
                pipe.write(data[at : at + size])

    writer = threading.Thread(target=feed)
    writer.start()
    try:
        with open_source(read) as source:
            return seen(walk_in_runs(source, listed="all"))
    finally:
        os.close(read)
        writer.join()


def in_a_pipe(told):
    """Return what a walk gave without what a pipe cannot tell alike.

    A trailer of unknown length comes in pieces. The body of a legacy record may end early as it
    is read, in a file behind the record's event.
    """
    events = []
    for event in told:
        if events and event[0].endswith("trailer") and event[0] == events[-1][0]:
            _, start, _, prefix, _ = events.pop()
            events.append((event[0], start, event[4] - start, prefix, event[4]))
        else:
            events.append(event)
    if events and events[-1][0] == "Truncated":
        *events, (_, offset, *_) = events
        events = [event for event in events if event[1] != offset] + [("Truncated", offset)]
    return events


def both(data):
    """Hold the walk in runs against the plain one: its events, what is counted, what is found.

    Returns what the plain one gave.
    """
    with open_source(data) as source:
        plain = seen(walk(source))
    for listed in ("none", "first", "all"):
        with open_source(data) as source:
            assert seen(walk_in_runs(source, listed=listed), listed) == plain
    assert in_a_pipe(piped(data, 1 + 2 * (len(data) % 3000))) == in_a_pipe(plain)
    assert counted(data, lambda _: None) == counted(data)
    with open_source(data) as source:
        wanted = [str(finding) for finding in Verification(source, apart=True)]
    with open_source(data) as source:
        verification = Verification(source)
        assert [str(finding) for finding in verification] == wanted
    return plain


def counted(data, each=None):
    """Return what a pass over an image found; with `each` it goes record by record."""
    with open_source(data) as source:
        found = tally(source, each)
    # Where the last frame was is of no use once one came again.
    apart = ("_sums", "stop", "_last_pfn", "_behind")
    kept = {name: value for name, value in vars(found).items() if name not in apart}
    return repr(kept), found.counts, str(found.stop)


def opens(data):
    """Tell whether there is anything to walk: an empty input, or a broken frame, has nothing."""
    try:
        open_source(data).close()
    except XensaveError:
        return False
    return True
