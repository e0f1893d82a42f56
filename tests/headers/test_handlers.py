"""How handlers take their entries, read from source text."""

import pytest

from xensave.errors import Malformed
from xensave.headers.text.ctext import arguments, body, without_comments
from xensave.headers.text.registrations import read_handlers

TABLE = """
static struct {
    hvm_save_handler save;
    hvm_load_handler load;
    const char *name;
    size_t size;
    int kind;
} hvm_sr_handlers[HVM_SAVE_CODE_MAX + 1];

int hvm_load(struct domain *d, hvm_domain_context_t *h)
{
    return 0;
}
"""
CHECKED = TABLE.replace("hvm_load_handler load;", "hvm_load_handler load;\nhvm_check_handler chk;")
CHECKED = CHECKED.replace("struct domain *d, hvm", "struct domain *d, bool real, hvm")


def load(statement):
    return f"""
static int thing_load(struct domain *d, hvm_domain_context_t *h)
{{
    /* hvm_load_entry_zeroextend(THING, h, "a comment does not count */
    {statement}
    return 0;
}}
HVM_REGISTER_SAVE_RESTORE(THING, thing_save, thing_load, 2,
                          HVMSR_PER_DOM);
"""


@pytest.mark.parametrize(
    ("statement", "mode"),
    [
        ("if ( hvm_load_entry(THING, h, &s) ) return -1;", "exact"),
        ("if ( hvm_load_entry_zeroextend(THING, h, &s) ) return -1;", "zeroextend"),
        ("p = hvm_get_entry(THING, h);", "exact"),
        ("if ( _hvm_check_entry(h, HVM_SAVE_CODE(THING), HVM_SAVE_LENGTH(THING)) ) x();", "exact"),
        (
            "if ( _hvm_check_entry(h, HVM_SAVE_CODE(THING), HVM_SAVE_LENGTH(THING), 1) ) x();",
            "exact",
        ),
        (
            "if ( _hvm_check_entry(h, HVM_SAVE_CODE(THING), HVM_SAVE_LENGTH(THING), false) ) x();",
            "zeroextend",
        ),
        ("if ( desc->length > sizeof(struct thing) ) return -1;", "own"),
    ],
)
def test_load_modes(statement, mode):
    table = read_handlers({"save.c": TABLE, "thing.c": load(statement)})
    [handler] = table.handlers
    assert (handler.record, handler.load, handler.save) == ("THING", "thing_load", "thing_save")
    assert (handler.load_mode, handler.kind, handler.instances) == (mode, "domain", 2)
    assert str(handler.place) == "thing.c:8"


def test_an_entry_of_another_record_does_not_count():
    with pytest.raises(
        Malformed, match=r"THING: thing\.c:8: thing_load takes its entry in no known"
    ):
        read_handlers({"save.c": TABLE, "thing.c": load("hvm_load_entry(THINGS, h, &s);")})


def test_a_handler_without_a_body():
    text = "HVM_REGISTER_SAVE_RESTORE(THING, a, b, 1, HVMSR_PER_VCPU);"
    with pytest.raises(Malformed, match="b has no body"):
        read_handlers({"save.c": TABLE, "thing.c": text})


def test_sources_without_a_table():
    with pytest.raises(Malformed, match="no hvm_sr_handlers"):
        read_handlers({"thing.c": load("desc->length")})


def test_the_table_before_and_after_the_check_pass():
    assert read_handlers({"save.c": TABLE}).entry_size == 40
    assert not read_handlers({"save.c": TABLE}).check_pass
    assert read_handlers({"save.c": CHECKED}).entry_size == 48
    assert read_handlers({"save.c": CHECKED}).check_pass


def test_registrations_with_a_check_and_by_hand():
    text = """
    static int a_load(struct domain *d, hvm_domain_context_t *h) { return hvm_load_entry(A, h, 0); }
    HVM_REGISTER_SAVE_RESTORE(A, a_save, a_check, a_load, 1, HVMSR_PER_VCPU);
    static int b_load(struct domain *d, hvm_domain_context_t *h) { return desc->length; }
    static int __init register_b(void)
    {
        hvm_register_savevm(B_CODE, "B", b_save, NULL, b_load,
                            SIZE(a, b) + sizeof(struct x), HVMSR_PER_VCPU);
    }
    """
    a, b = read_handlers({"save.c": CHECKED, "x.c": text}).handlers
    assert (a.save, a.check, a.load, a.load_mode, a.instances) == (
        "a_save", "a_check", "a_load", "exact", 1,
    )  # fmt: skip
    assert (b.record, b.check, b.load_mode, b.instances, b.kind) == ("B", "", "own", None, "vcpu")


def test_text():
    assert arguments('a, f(b, c), "x", (d, e)') == ["a", "f(b, c)", '"x"', "(d, e)"]
    assert without_comments('a /* b\n */ "/* c */" // d') == 'a     \n    "/* c */"     '
    assert body("int f(int);\nint f(int a) { if (a) { g(); } }", "f").split() == [
        "if", "(a)", "{", "g();", "}",
    ]  # fmt: skip
    assert body("int f(int a) { unbalanced", "f") is None
