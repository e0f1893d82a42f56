"""Small header trees in the form of Xen's public headers, written for the tests."""

from xensave.headers.trees.tree import MemoryTree

PLAIN = """
#define DECLARE_HVM_SAVE_TYPE(name, code, type) \\
    struct __HVM_SAVE_TYPE_##name { type t; char c[code]; }
"""

WITH_COMPAT = """
#ifdef __XEN__
# include <xen/lib.h>
# define DECLARE_HVM_SAVE_TYPE_COMPAT(name, code, type, old, fix)          \\
    static inline int fix_##name(void *h, uint32_t n) { return fix(h, n); } \\
    struct __HVM_SAVE_TYPE_##name { type t; char c[code]; char cpt[2]; };   \\
    struct __HVM_SAVE_TYPE_COMPAT_##name { old t; }
# define DECLARE_HVM_SAVE_TYPE(name, code, type)                            \\
    static inline int fix_##name(void *h, uint32_t n) { BUG(); return -1; } \\
    struct __HVM_SAVE_TYPE_##name { type t; char c[code]; char cpt[1]; };   \\
    struct __HVM_SAVE_TYPE_COMPAT_##name { type t; }
#else
# define DECLARE_HVM_SAVE_TYPE_COMPAT(name, code, type, old, fix)           \\
    struct __HVM_SAVE_TYPE_##name { type t; char c[code]; char cpt[2]; }
# define DECLARE_HVM_SAVE_TYPE(name, code, type)                            \\
    struct __HVM_SAVE_TYPE_##name { type t; char c[code]; char cpt[1]; }
#endif
"""

ARCH = """
#if defined(__i386__) || defined(__x86_64__)
#include "../arch-x86/hvm/save.h"
#else
#error "unsupported architecture"
#endif
"""


def one_file(body: str, macros: str = PLAIN) -> MemoryTree:
    """A tree with everything in hvm/save.h, as in 3.1."""
    return MemoryTree({"hvm/save.h": macros + body}, "tree")


def two_files(body: str, **more: str) -> MemoryTree:
    """A checkout with hvm/save.h including arch-x86/hvm/save.h, as from 3.2 on."""
    public = "xen/include/public/"
    files = {
        f"{public}hvm/save.h": WITH_COMPAT + ARCH,
        f"{public}arch-x86/hvm/save.h": body,
        **{public + name.replace("__", "/") + ".h": text for name, text in more.items()},
    }
    return MemoryTree(files, "checkout")
