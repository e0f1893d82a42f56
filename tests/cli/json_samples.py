"""A few calls of every command that prints JSON, which cover the forms of its documents."""

HVM, PVH, IMAGE = "examples/hvm1.ctx", "examples/pvh1.ctx", "examples/hvm1.img.zst"
PATCH = "examples/reserve-v1.mbox"
TO = ["-t", "4.13", "--from", "4.17", "--dry-run", "--json"]

SAMPLES = {
    "show": [
        ["show", HVM, "--json"],
        ["show", IMAGE, "--json"],
        ["show", PVH, "--json", "--all"],
        ["show", IMAGE, "--json", "--record", "CPU", "--record", "HVM_PARAMS"],
    ],
    "verify": [["verify", HVM, IMAGE, "--json"], ["verify", "CUT", "--json"]],
    "check": [
        ["check", HVM, IMAGE, "CUT", "-t", "4.13", "-t", "4.17", "-t", "4.21", "--json"],
        ["check", "examples", "-t", "4.17", "--json"],
    ],
    "matrix": [["matrix", "--json"], ["matrix", "--type", "pvh", "--context", "--json"]],
    "convert": [["convert", HVM, *TO], ["convert", IMAGE, *TO], ["convert", PVH, *TO]],
    "records": [
        ["records", "--json"],
        ["records", "--release", "4.21", "--json"],
        ["records", "RTC", "--json"],
        ["records", "LAPIC", "--json"],
        ["records", "LAPIC", "--release", "4.20", "--json"],
        ["records", "HPET", "--release", "4.17", "--layout", "32", "--json"],
        ["records", "--space", "hvm-param", "--json"],
        ["records", "--space", "mapspace", "--release", "3.4", "--json"],
        ["records", "21", "--json"],
        ["records", "22", "--json"],
        ["records", "8", "--space", "hvm-param", "--json"],
        ["records", "--source", "examples/registries/acme.toml", "--json"],
        ["records", "--source", "citrix", "--space", "mapspace", "--json"],
    ],
    "clash": [
        ["clash", "4.17", "4.21", "--json"],
        ["clash", "3.1", "4.21", "--json"],
        ["clash", "4.17", "4.17", "--json"],
        ["clash", "4.0", "citrix", "--space", "hvm-param", "--json"],
    ],
    "suggest": [
        ["suggest", "--for", "Acme", "--count", "2", "--json"],
        ["suggest", "--for", "Amazon", "--keep", "18,22-24", "--json"],
        ["suggest", "--for", "Acme", "--space", "hvm-param", "--keep", "8", "--json"],
    ],
    "cost": [
        ["cost", "--release", "4.13", "--max", "40", "--json"],
        ["cost", "--max", "20", "--json"],
        ["cost", "--space", "hvm-param", "--max", "64", "--json"],
    ],
    "review": [
        ["review", PATCH, "--json"],
        ["review", PATCH, "examples/reserve-v2.mbox", "--json"],
    ],
    "diff": [
        ["diff", HVM, PVH, "--json"],
        ["diff", HVM, HVM, "--json"],
        ["diff", IMAGE, IMAGE, "--json", "--pages"],
    ],
    "policy": [
        ["policy", "show", IMAGE, "--json"],
        ["policy", "diff", IMAGE, IMAGE, "--json"],
    ],
    "memory": [
        ["memory", IMAGE, "--json"],
        ["memory", IMAGE, "--json", "--pfn", "1"],
        ["memory", IMAGE, "--json", "--find", "Xen"],
    ],
    "thin": [["thin", IMAGE, "OUT/thin.img", "--json"]],
    "extract": [["extract", IMAGE, "OUT/guest.core", "--json"]],
    "decode": [["decode", HVM, "--json"], ["decode", IMAGE, "examples/pvh1.ctx", "--json"]],
    "compare": [["compare", "4.13", "4.17", "--json"], ["compare", "4.17", "4.17", "--json"]],
    "edit": [["edit", HVM, "--set", "CPU[0].rip=1", "-t", "4.17", "--dry-run", "--json"]],
}
