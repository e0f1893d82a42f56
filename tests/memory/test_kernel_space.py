"""Where the kernel is mapped when a vCPU was saved in user mode."""

import struct

import pytest

from tests.memory import samples
from tests.memory.samples import memory, record
from tests.memory.test_paging import NX, P, U, W, table
from xensave.container.events import LIBXC
from xensave.container.streams.libxc import X86_PV_VCPU_BASIC
from xensave.image.memory.vcpu import VGCF_IN_KERNEL, Vcpu, pv_vcpu
from xensave.memory import NotMapped, Registers

FLAGS, USER_ROOT, KERNEL_ROOT = 8 + 512, 8 + 4992, 8 + 5008
KERNEL = 0xFFFFFF8000000000
LONG_MODE = Registers(cr0=1 << 31, cr4=1 << 5, efer=1 << 10)


def isolated(user, kernel, cr3=0x3000):
    """A vCPU whose CR3 has PCID 5, and the roots of page-table isolation before it."""
    below = {4: table({0: 0x5000 | P}), 5: table({0: P | 0x80})}
    pages = {2: table(kernel), 3: table(user), **below}
    guest = memory(record(*sorted(pages.items())))
    return Vcpu(0, LONG_MODE._replace(cr3=cr3 | 5), guest, cr3 | 5)


def test_page_table_isolation_keeps_the_kernels_root_in_the_page_before():
    vcpu = isolated({0: 0x4000 | P | W | U}, {0: 0x4000 | P | W | U | NX, 511: 0x4000 | P})
    with pytest.raises(NotMapped):
        vcpu.translate(KERNEL)
    assert vcpu.kernel_space.translate(KERNEL).physical == 0
    assert vcpu.kernel_space.translate(0x123).physical == vcpu.translate(0x123).physical


@pytest.mark.parametrize(
    ("user", "kernel", "cr3"),
    [
        ({0: 0x4000 | P}, {0: 0x5000 | P, 511: 0x4000 | P}, 0x3000),
        ({511: 0x4000 | P}, {511: 0x4000 | P}, 0x3000),
        ({0: 0x4000 | P}, {0: 0x4000 | P}, 0x2000),
        ({0: 0x4000 | P}, {0: 0x4000 | P}, 0x7000),
    ],
    ids=["other user memory", "no user memory", "the kernel's root", "a root that is not there"],
)
def test_tables_that_are_no_pair(user, kernel, cr3):
    vcpu = isolated(user, kernel, cr3)
    assert vcpu.kernel_space is vcpu


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_pv_guest_names_both_roots(in_kernel):
    image = samples.shared_image(samples.PV)
    (kept,) = image.tally.all(LIBXC, X86_PV_VCPU_BASIC)
    body = bytearray(kept.body)
    (flags,) = struct.unpack_from("<Q", body, FLAGS)
    assert flags & VGCF_IN_KERNEL
    (root,) = struct.unpack_from("<Q", body, KERNEL_ROOT)
    struct.pack_into("<Q", body, USER_ROOT, 0x7000 | 1)
    struct.pack_into("<Q", body, FLAGS, flags if in_kernel else flags & ~VGCF_IN_KERNEL)
    vcpu = pv_vcpu(bytes(body), image.memory)
    assert vcpu.cr3 == (root if in_kernel else 0x7000)
    assert vcpu.kernel_space.cr3 == root
