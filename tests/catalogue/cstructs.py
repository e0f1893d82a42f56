"""C text from the catalogue's fields, and what a C compiler must say of it."""

from collections.abc import Iterator

from xensave.catalogue.model import Field, Shape

HEAD = "#include <stddef.h>\n#include <stdint.h>\n"


def declaration(fields: tuple[Field, ...], indent: str = "    ") -> str:
    """The members of a struct, as C."""
    lines = []
    for field in fields:
        dims = "".join(f"[{count}]" for count in field.dims)
        bits = f" : {field.bits[1]}" if field.bits else ""
        if field.fields:
            kind = "union" if field.union else "struct"
            inner = declaration(field.fields, indent + "    ")
            lines.append(f"{indent}{kind} {{\n{inner}{indent}}} {field.name}{dims};\n")
        else:
            lines.append(f"{indent}{field.type} {field.name}{dims}{bits};\n")
    return "".join(lines)


def struct(name: str, shape: Shape) -> str:
    return f"struct {name} {{\n{declaration(shape.fields)}}};\n"


def members(fields: tuple[Field, ...], path: str = "", base: int = 0) -> Iterator[tuple]:
    """(C path, offset, field) of each named member, inside the first element of arrays."""
    for field in fields:
        inner = path
        if field.name:
            inner = f"{path}.{field.name}" if path else field.name
            yield inner, base + field.offset, field
        if field.fields:
            element = inner + "[0]" * len(field.dims) if field.name else path
            yield from members(field.fields, element, base + field.offset)


def assertions(name: str, shape: Shape) -> str:
    """_Static_asserts that the struct `name` has the shape's size, offsets and member sizes."""
    lines = [check(f"sizeof(struct {name})", shape.size)]
    for path, offset, field in members(shape.fields):
        if field.bits:
            continue
        lines.append(check(f"offsetof(struct {name}, {path})", offset))
        if 0 not in field.dims:
            lines.append(check(f"sizeof(((struct {name} *)0)->{path})", field.size))
    return "".join(lines)


def check(expression: str, value: int) -> str:
    return f'_Static_assert({expression} == {value}, "{expression} is not {value}");\n'
