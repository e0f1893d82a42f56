"""Nothing imports what stands above it."""

import ast
from pathlib import Path

import xensave

ROOT = Path(xensave.__file__).parent

# From the ground up: a room imports only itself and the floors below.
FLOORS = [
    {"errors", "findings"},
    {"child", "source", "catalogue"},
    {"container", "headers", "binaries"},
    {"records"},
    {"context", "context_columns", "live", "memory", "numbers"},
    {"rules"},
    {"image"},
    {"policy"},
    {"dump", "engine"},
    {"drgn", "toolstack", "volatility"},
    {"convert", "diff", "review"},
    {"edit", "fleet"},
    {"testing"},
    {"views"},
    {"report"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, floor in enumerate(FLOORS) for room in floor}


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("xensave."):
            yield node.lineno, node.module
        elif isinstance(node, ast.ImportFrom) and node.module == "xensave":
            yield from ((node.lineno, f"xensave.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                (node.lineno, alias.name)
                for alias in node.names
                if alias.name.startswith("xensave.")
            )


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] != "__init__":
            yield parts[0], path


def test_every_room_has_a_floor():
    homeless = {room for room, _ in modules()} - set(LEVEL)
    assert homeless == set(), (
        "give it a floor in FLOORS, and a row in docs/explanation/architecture.md"
    )


def test_imports_point_down():
    wrong = []
    for room, path in modules():
        for line, target in imports(path):
            below = room_of(target)
            if below in ("__version__", room):
                continue
            if LEVEL[below] >= LEVEL[room]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)
