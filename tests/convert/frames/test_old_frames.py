"""What old toolstacks wrote around legacy streams: converted to what today's readers take."""

import pytest

from xensave.container.frames import xenopsd as x
from xensave.convert import ConversionRefused, Settings, convert
from xensave.image import open_image
from xensave.rules.stream import verify
from xensave.source import open_source
from xensave.testing import frames, legacy

WITHOUT_MODEL = legacy.hvm_tail(device_model=b"")
VM = frames.vm_record()[x.PAIR.size :]


def stream(width=8):
    return legacy.hvm_stream(width, tail=WITHOUT_MODEL)


def with_legacy_record(width):
    """A suspend image of today with a legacy stream in it, as its table of types allows."""
    return b"".join(
        (
            x.MAGIC,
            frames.vm_record(),
            frames.record(x.LIBXC_LEGACY) + stream(width),
            frames.record(x.QEMU_TRAD, frames.QEMU),
            frames.record(x.END_OF_IMAGE),
        )
    )


def converted(data, tmp_path, **settings):
    path, out = tmp_path / "image", tmp_path / "out"
    path.write_bytes(data)
    convert(str(path), str(out), Settings("4.17", **settings))
    with open_source(str(out)) as source:
        assert [each for each in verify(source) if each.severity == "error"] == []
    return out


@pytest.mark.parametrize("width", [4, 8])
def test_a_legacy_record_becomes_one_of_today(width, tmp_path):
    out = converted(with_legacy_record(width), tmp_path)
    with open_image(str(out)) as image:
        assert image.containers == ("xenopsd v2", "libxc v3", "HVM context")
        labels = [event.label for event in image.events() if event.layer == "xenopsd"]
    names = ["signature", "Xenops", "Libxc", "Qemu_trad", "End_of_image"]
    assert labels == [f"xenopsd {name}" for name in names]


MODELS = {
    "xenopsd's": lambda width: frames.legacy_suspend_image(stream(width)),
    "libxl's": lambda width: frames.legacy_suspend_image(legacy.hvm_stream(width), b""),
}


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("image", MODELS.values(), ids=MODELS)
def test_a_suspend_image_of_old_is_no_frame_of_today(image, width, tmp_path):
    with pytest.raises(ConversionRefused, match="--to xenopsd with --config"):
        converted(image(width), tmp_path)
    assert not (tmp_path / "out").exists()
    libxl = converted(image(width), tmp_path, to="libxl")
    assert libxl.read_bytes().startswith(b"LibxlFmt")
    out = converted(image(width), tmp_path, to="xenopsd", metadata=VM)
    with open_image(str(out)) as found:
        assert found.containers[0] == "xenopsd v2"
        assert found.guest == 'guest ("quoted")'
        assert found.emulators[0].sections is not None
    assert frames.record(x.QEMU_TRAD, frames.QEMU) in out.read_bytes()


@pytest.mark.parametrize(
    ("config", "name"),
    [
        # As Python 2's repr() writes what is no plain word, which xend's show() uses.
        (
            b"(domain (name 'my guest') (args 'a (b') (vcpus 2) (maxmem 64) (image (hvm)))",
            "my guest",
        ),
        (b'(domain (name "it\'s") (vcpus 2) (maxmem 64) (image (hvm)))', "it's"),
        (
            b"(domain (name '\\xc3\\xa9t\\xc3\\xa9') (x '') (vcpus 2) (maxmem 64) (image (hvm)))",
            "été",
        ),
        (b"(domain (name plain;a) # word\n (vcpus 2) (maxmem 64) (image (hvm)))", "plain;a"),
    ],
)
def test_words_of_xend_in_either_quotes(config, name, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(frames.xend_file(legacy.hvm_stream(), config))
    with open_image(str(path)) as image:
        assert image.guest == name
        assert image.facts.described.get("b_info", "max_vcpus") == 2
        assert image.facts.described.get("b_info", "max_memkb") == 64 << 10
