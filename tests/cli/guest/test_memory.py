"""`xensave memory`: the map, bytes at an address, patterns."""

import json
import struct

import pytest

from tests.memory import samples
from tests.memory.samples import HVM, page, record
from tests.terminal import command
from xensave.cli import main
from xensave.container.framing import pack_record
from xensave.container.streams import libxc
from xensave.testing import streams

MARKER = "XENSAVE-MARKER guest=xen417-pvh1 page="

run = command("memory")


def saved(tmp_path, *records):
    body = b"".join(records) + streams.hvm_tail("4.17")
    path = tmp_path / "image"
    path.write_bytes(streams.xl_image(streams.libxl_stream(streams.libxc_stream(body, "4.17"))))
    return path


class TestMap:
    def test_ranges_are_those_of_the_stream(self, capfd, tmp_path):
        path = saved(
            tmp_path,
            record((0, page(0)), (1, page(1)), (2, page(1)), (3, 0xF, b""), (4, page(2))),
            record((1, page(3))),
        )
        code, out, _ = run(capfd, path, "--json")
        found = json.loads(out)
        assert code == 0
        assert [found[key] for key in ("frames", "sent", "resent")] == [4, 5, 1]
        assert [found[key] for key in ("zero", "duplicate")] == [1, 0]
        assert [(each["start"], each["length"], each["data"]) for each in found["ranges"]] == [
            (0, 0x3000, True),
            (0x3000, 0x1000, False),
            (0x4000, 0x1000, True),
        ]
        assert [(each["start"], each["length"], each["zero"]) for each in found["map"]] == [
            (0, 0x1000, True),
            (0x1000, 0x1000, False),
            (0x2000, 0x1000, False),
            (0x4000, 0x1000, False),
        ]
        data = path.read_bytes()
        for each in found["map"]:
            pages = {0: page(0), 0x1000: page(3), 0x2000: page(1), 0x4000: page(2)}
            at = each["offset"]
            assert data[at : at + 4096] == pages[each["start"]]

    def test_pages_are_not_looked_at_where_not_wanted(self, capfd):
        code, out, _ = run(capfd, HVM, "--json", "--no-contents")
        found = json.loads(out)
        assert code == 0
        assert (found["zero"], found["duplicate"], found["zstd_estimate"]) == (None, None, None)
        assert found["map"][0]["zero"] is None

    def test_special_pages_are_those_of_the_params(self, capfd):
        from xensave import open as open_image

        _, out, _ = run(capfd, HVM, "--json", "--no-contents")
        named = {each["name"]: each["start"] >> 12 for each in json.loads(out)["special"]}
        with open_image(HVM) as image:
            params = image.params
        assert named["xenstore ring"] == params[1]
        assert named["console ring"] == params[17]
        assert named["ioreq server pages"] == params[32]
        assert named["identity page table"] == params[12] >> 12
        assert named["VM86 TSS"] == (params[37] & 0xFFFFFFFF) >> 12

    def test_frames_that_differ_after_verify(self, capfd, tmp_path):
        verify = pack_record(libxc.VERIFY)
        path = saved(tmp_path, record((1, page(1))), verify, record((1, page(2))))
        _, out, _ = run(capfd, path)
        assert "1 frames differ after VERIFY: 0x1" in out

    @pytest.mark.parametrize("ending", ["svg", "png"])
    def test_a_picture(self, capfd, tmp_path, ending):
        pytest.importorskip("matplotlib")
        picture = tmp_path / f"map.{ending}"
        assert run(capfd, HVM, "--plot", picture)[0] == 0
        assert picture.read_bytes().startswith({"svg": b"<?xml", "png": b"\x89PNG"}[ending])
        assert run(capfd, HVM, "--plot", tmp_path / "map.txt")[0] == 2

    def test_passes_of_a_live_migration(self, capfd):
        samples.shared_bytes(samples.LIVE)
        code, out, _ = run(capfd, samples.SHARED / samples.LIVE, "--json", "--no-contents")
        assert code == 0
        assert [each["first"] for each in json.loads(out)["passes"]] == [8144, 0, 0, 0, 0, 0]

    def test_start_info_of_a_pv_guest(self, capfd):
        samples.shared_bytes(samples.PV)
        _, out, _ = run(capfd, samples.SHARED / samples.PV, "--json", "--no-contents")
        special = json.loads(out)["special"]
        assert [each["name"] for each in special] == ["start info", "xenstore ring", "console ring"]


class TestBytes:
    def test_of_a_page(self, capfdbinary, tmp_path):
        path = saved(tmp_path, record((5, page(7)), (6, page(8))))
        assert main(["memory", str(path), "--pfn", "5"]) == 0
        assert capfdbinary.readouterr().out == page(7)
        assert main(["memory", str(path), "--physical", "0x5fff", "--length", "2"]) == 0
        assert capfdbinary.readouterr().out == b"\7\x08"

    def test_as_a_hex_dump(self, capfd, tmp_path):
        path = saved(tmp_path, record((5, page(0x41))))
        _, out, _ = run(capfd, path, "--pfn", 5, "--hex")
        assert out.splitlines() == [
            "0000000000005000  " + "41 " * 8 + " " + "41 " * 8 + " |" + "A" * 16 + "|",
            "*",
            "0000000000006000",
        ]

    def test_an_address_without_contents(self, capfd):
        code, out, err = run(capfd, HVM, "--physical", "0x2000000")
        assert (code, out) == (1, "")
        assert "no contents of frame 0x2000, which the image lists as XTAB" in err

    def test_an_address_that_is_not_mapped(self, capfd):
        samples.shared_bytes(samples.PAIR)
        code, _, err = run(capfd, samples.SHARED / samples.PAIR, "--virtual", "0xffffa00000000000")
        assert code == 1
        assert "PML4[320] is 0x0, not present" in err

    def test_length_needs_an_address(self, capfd):
        assert run(capfd, HVM, "--length", "3")[0] == 2


class TestFind:
    def test_text_bytes_and_expressions(self, capfd, tmp_path):
        data = b"needle in hay".rjust(4096, b".")
        path = saved(tmp_path, record((5, data), (6, page(8)), (9, data)))
        for pattern in ("needle", "0x6e6565646c65", "/ne+dle/"):
            code, out, _ = run(capfd, path, "--find", pattern)
            assert code == 0
            assert [int(line.split()[0], 16) for line in out.splitlines()] == [0x5FF3, 0x9FF3]

    def test_across_pages_and_batches(self, capfd, tmp_path):
        pages = [(pfn, b"e" * 4096) for pfn in range(512)]
        pages[255] = (255, b"needl".rjust(4096, b"."))
        path = saved(tmp_path, record(*pages))
        _, out, _ = run(capfd, path, "--find", "needle", "--json")
        assert json.loads(out)["physical"] == (256 << 12) - 5

    def test_what_does_not_follow_in_memory_does_not_match(self, capfd, tmp_path):
        path = saved(tmp_path, record((5, b"needl".rjust(4096, b".")), (7, b"e" * 4096)))
        assert run(capfd, path, "--find", "needle")[:2] == (1, "")

    def test_in_zeros_beside_data_whatever_the_compression(self, capfd, tmp_path):
        import gzip

        pages = [(pfn, bytes(4096)) for pfn in range(64)]
        pages[20] = (20, b"end".ljust(4096, b"\0"))
        path = saved(tmp_path, record(*pages))
        packed = tmp_path / "image.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        for each in (path, packed):
            _, out, _ = run(capfd, each, "--find", r"/end\0{5000}/", "--json")
            assert json.loads(out)["physical"] == 20 << 12

    @pytest.mark.parametrize("pattern", ["", "/(/"])
    def test_bad_patterns(self, capfd, pattern):
        assert run(capfd, HVM, "--find", pattern)[0] == 2

    def test_virtual_addresses_of_a_process(self, capfd):
        samples.shared_bytes(samples.PAIR)
        _, out, _ = run(capfd, samples.SHARED / samples.PAIR, "--find", MARKER, "--json")
        hits = [json.loads(line) for line in out.splitlines()]
        with samples.shared_image(samples.PAIR) as image:
            for hit in hits:
                assert len(hit["virtual"]) >= 1
                for virtual in hit["virtual"]:
                    assert image.vcpu(0).read(virtual, len(MARKER)) == MARKER.encode()
            pages = [image.memory.page(pfn) for pfn in image.memory.index.pfns.tolist()]
        assert len(hits) == sum(data.count(MARKER.encode()) for data in pages)


def test_an_address_space_that_maps_itself_many_times(capfd, tmp_path):
    tables = struct.pack("<512Q", *([0x1001] * 512))
    path = saved(tmp_path, record((1, tables), (2, b"needle".ljust(4096))))
    code, out, _ = run(capfd, path, "--find", "needle")
    assert (code, out.split()[1]) == (0, "-")
