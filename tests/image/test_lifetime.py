"""What the Python API promises of an open image: readings apart, descriptors given back."""

import copy
import gc
import io
import pickle
import warnings
from pathlib import Path

import pytest

import xensave
from xensave.context import Context
from xensave.errors import UsageError, XensaveError

IMAGE = "examples/hvm1.img.zst"
CONTEXT = "examples/hvm1.ctx"
DATA = Path(CONTEXT).read_bytes()


def plain_image(tmp_path):
    import zstandard

    path = tmp_path / "hvm1.img"
    path.write_bytes(zstandard.ZstdDecompressor().stream_reader(Path(IMAGE).read_bytes()).read())
    return str(path)


@pytest.mark.parametrize("kind", ["compressed", "plain", "context", "bytes", "file", "descriptor"])
def test_a_walk_and_a_question_do_not_disturb_each_other(kind, tmp_path):
    opened = Path(IMAGE).open("rb")  # noqa: SIM115
    what = {
        "compressed": IMAGE,
        "plain": plain_image(tmp_path),
        "context": CONTEXT,
        "bytes": Path(IMAGE).read_bytes(),
        "file": opened,
        "descriptor": opened.fileno(),
    }[kind]
    with xensave.open(what) as image:
        wanted = [event.offset for event in image.events()]
        pages = image.pages
    with xensave.open(what) as image:
        seen = []
        for event in image.events():
            seen.append(event.offset)
            assert image.vcpus == 1
            assert image.context["CPU", 0].instance == 0
            assert image.pages == pages
        pairs = zip(image.events(), image.events(), strict=True)
        assert [(one.offset, other.offset) for one, other in pairs] == [(at, at) for at in wanted]
    assert seen == wanted
    opened.close()


def test_a_pipe_is_read_once_and_says_so():
    with xensave.open(io.BufferedReader(io.BytesIO(DATA))) as image:
        next(image.events())
        with pytest.raises(UsageError, match="once only"):
            _ = image.vcpus


def test_a_closed_image_says_that_it_is_closed():
    image = xensave.open(IMAGE)
    assert image.vcpus == 1
    image.close()
    assert image.vcpus == 1
    with pytest.raises(UsageError, match="is closed"):
        next(image.events())
    other = xensave.open(IMAGE)
    other.close()
    with pytest.raises(UsageError, match="is closed"):
        _ = other.type


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_descriptors_are_given_back_without_close():
    def use(path):
        try:
            return xensave.open(path).type
        except XensaveError:
            return None

    use(CONTEXT)
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (CONTEXT, IMAGE, "/etc/passwd"):
        for _ in range(20):
            use(path)
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("path", [CONTEXT, IMAGE])
def test_an_image_left_open_is_a_resource_warning(path):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        image = xensave.open(path)
        _ = image.type
        del image
        gc.collect()
    assert any(w.category is ResourceWarning and path in str(w.message) for w in told)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with xensave.open(path) as image:
            _ = image.type
        del image
        gc.collect()
    assert not [w for w in told if w.category is ResourceWarning]


def test_equal_contexts_are_equal():
    context, other = Context.parse(DATA, "4.17"), Context.parse(DATA, "4.17")
    assert context == other
    assert hash(context) == hash(other)
    assert pickle.loads(pickle.dumps(context)) == context
    assert copy.deepcopy(context) == context
    assert context.replace("CPU", 0, rip=1) != context
    assert Context.parse(DATA + b"x", "4.17") != context
    assert context != DATA


def test_a_record_that_may_be_absent_is_asked_for_with_get():
    context = Context.parse(DATA, "4.17")
    assert context.get("CPU", 0) is context["CPU", 0]
    assert context.get(2) is context[2]
    assert context.get("CPU", 7) is None
    assert context.get("NONE") is None


def test_an_image_says_what_it_is():
    with xensave.open(CONTEXT) as image:
        assert repr(image) == f"<Image {CONTEXT!r}>"


@pytest.mark.parametrize("what", [5.5, None, object()])
def test_what_is_no_input_is_an_error_of_the_librarys_own(what):
    with pytest.raises(UsageError, match="a path"):
        xensave.open(what)
