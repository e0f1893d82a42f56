"""Small public headers of our own, with the numbers that real downstreams took."""

MACROS = """
#define DECLARE_HVM_SAVE_TYPE(_x, _code, _type) \\
    struct __HVM_SAVE_TYPE_##_x { _type t; char c[_code]; char cpt[1]; }
struct hvm_save_descriptor { unsigned short typecode, instance; unsigned int length; };
struct hvm_save_end {};
DECLARE_HVM_SAVE_TYPE(END, 0, struct hvm_save_end);
"""
WORD = "struct hvm_{lower} {{ unsigned long long word[{words}]; }};\n"
BIND = "DECLARE_HVM_SAVE_TYPE({name}, {code}, struct hvm_{lower});\n"


def tree(folder, records, maximum=None, comment=""):
    """Write headers that bind (name, number, words) records, and give their directory."""
    public = folder / "xen" / "include" / "public"
    (public / "hvm").mkdir(parents=True)
    (public / "xen.h").write_text("")
    text = MACROS
    for name, code, words in records:
        text += WORD.format(lower=name.lower(), words=words)
        text += BIND.format(name=name, lower=name.lower(), code=code)
    most = max(code for _, code, _ in records) if maximum is None else maximum
    text += f"{comment}\n#define HVM_SAVE_CODE_MAX {most}\n"
    (public / "hvm" / "save.h").write_text(text)
    return folder
