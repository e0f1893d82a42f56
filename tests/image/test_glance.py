"""A glance finds what a walk finds, or walks."""

import pytest

from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.container.walk import walk
from xensave.image import open_image
from xensave.image.glance import glance
from xensave.source import open_source, read_all


@pytest.fixture(scope="module")
def image():
    with open_source("examples/hvm1.img.zst") as source:
        return read_all(source)


def seen(events):
    return [
        (event.label, event.offset, bytes(event.body()))
        for event in events
        if not event.is_record("libxc", libxc.PAGE_DATA)
    ]


def both(data):
    with open_source(data) as source:
        walked = list(walk(source))
    with open_source(data) as source:
        glanced = list(glance(source))
    return walked, glanced


def test_it_passes_over_the_pages(image):
    walked, glanced = both(image)
    assert seen(glanced) == seen(walked)
    assert len(walked) == 1034
    assert len(glanced) == 15


@pytest.mark.parametrize("behind", [b"x", bytes(8), bytes(44)])
def test_bytes_behind_the_stream_prove_nothing(image, behind):
    walked, glanced = both(image + behind)
    assert seen(glanced) == seen(walked)
    assert len(glanced) == len(walked)


def tail_of(image):
    at = image.rindex(pack_record(libxc.X86_TSC_INFO, bytes(24))[:8])
    return at, image[at:]


def test_a_second_end_in_guest_memory_proves_nothing(image):
    """A guest can write the end of an image into its memory, reaching to the true one."""
    at, tail = tail_of(image)
    # The false context's length leads to the true HVM_PARAMS.
    params = tail.index(pack_record(libxc.HVM_PARAMS, bytes(216))[:8])
    length = 4096 - 40 + params
    context = tail[40:]
    fake = tail[:32] + pack_record(libxc.HVM_CONTEXT, bytes(length))[:8] + context[:20]
    page_at = at - 4096
    changed = image[:page_at] + fake + image[page_at + len(fake) :]
    walked, glanced = both(changed)
    assert seen(glanced) == seen(walked)
    assert len(glanced) == len(walked)


def test_a_tail_that_a_guest_writes_alone_does_not_meet_the_end(image):
    at, tail = tail_of(image)
    changed = image[: at - 8192] + tail[:8000] + image[at - 8192 + len(tail[:8000]) :]
    walked, glanced = both(changed)
    assert seen(glanced) == seen(walked)


def test_forward_only_input_is_walked(image):
    import gzip

    walked, glanced = both(gzip.compress(image, 1))
    assert len(glanced) == len(walked) == 1034


def test_an_image_says_what_was_passed_over(image):
    with open_image(image, glance=True) as glanced, open_image(image) as walked:
        assert walked.facts.unread == 0
        assert 0 < glanced.facts.unread < walked.facts.size - 10_000
        assert glanced.facts._replace(unread=0, counts=()) == walked.facts._replace(
            counts=(), pages=None
        )


def test_large_images_are_looked_at_by_a_glance_and_say_so(image, tmp_path, capsys, monkeypatch):
    from xensave.cli import main
    from xensave.image import input as inputs

    monkeypatch.setattr(inputs, "GLANCE_FROM", 16 << 20)
    path = tmp_path / "large.img"
    path.write_bytes(image)
    assert main(["show", str(path)]) == 0
    assert "of page records passed over" in capsys.readouterr().out
    assert main(["show", str(path), "--walk"]) == 0
    assert "pages with contents" in capsys.readouterr().out
    for words, passed in (([], True), (["--walk"], False)):
        assert main(["check", str(path), "-t", "4.17.7", "--json", *words]) == 0
        assert ("a glance passes over" in capsys.readouterr().out) is passed
