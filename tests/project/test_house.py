"""The package is as small, and as simple to walk through, as CONTRIBUTING promises."""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import nbformat
import networkx as nx
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "caufvae_lite"
FILES = sorted(PACKAGE.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ENTRIES = ("caufvae_lite", "caufvae_lite.__main__")  # the facade and the command line


def name_of(path):
    """``caufvae_lite.worlds.base`` for its file; a room is named after its ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    """``worlds`` for ``caufvae_lite.worlds.base``, and "" for a file of the core."""
    parts = module.split(".")
    is_room = len(parts) > 1 and (PACKAGE / parts[1]).is_dir()
    return parts[1] if is_room else ""


def imports_of(path, modules):
    """The package's modules that a file imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in modules}
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & modules) or {node.module}
    return found


@cache
def house():
    """Modules, and an arrow from each to those that it imports."""
    modules = {name_of(path) for path in FILES}
    graph = nx.DiGraph()
    graph.add_nodes_from(modules)
    for path in FILES:
        graph.add_edges_from((name_of(path), other) for other in imports_of(path, modules))
    return graph


def test_the_core_imports_no_room():
    wrong = [
        f"{one} imports {other}"
        for one, other in house().edges
        if one not in ENTRIES and not room_of(one) and room_of(other)
    ]
    assert not wrong, f"a file of the flat core may import only the core: {wrong}"


def test_nothing_but_the_entries_imports_the_commands_or_the_facade():
    wrong = [
        f"{one} imports {other}"
        for one, other in house().edges
        if room_of(other) == "commands" and room_of(one) not in ("commands", "train")
        and one not in ENTRIES
    ]  # fmt: skip
    assert not wrong, wrong


def test_no_file_imports_one_that_imports_it():
    inside = house().subgraph(set(house()) - {"caufvae_lite"})
    circles = [" → ".join([*c, c[0]]) for c in nx.simple_cycles(inside)]
    assert not circles, circles


def test_no_room_imports_one_that_imports_it():
    rooms = nx.DiGraph(
        (room_of(one), room_of(other))
        for one, other in house().edges
        if room_of(one) and room_of(other) and room_of(one) != room_of(other)
    )
    circles = [" → ".join([*c, c[0]]) for c in nx.simple_cycles(rooms)]
    assert not circles, circles


def lines_of(path):
    return len(path.read_text().splitlines())


def test_the_core_fits_in_a_head():
    core = [path for path in FILES if path.parent == PACKAGE]
    assert len(core) <= 16, [path.name for path in core]
    assert sum(map(lines_of, core)) <= 2500


def test_the_whole_package_does_not_grow_unseen():
    """Whoever needs more lines raises this number, and says in the commit for what."""
    assert sum(map(lines_of, FILES)) <= 16_500


def test_no_file_function_or_signature_is_too_long():
    for path in FILES:
        assert lines_of(path) <= 300, path.name
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            what = f"{path.name}: {node.name}"
            assert node.end_lineno - node.lineno < 60, what
            arguments = node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            every = [a for a in every if a.arg not in ("self", "cls")]
            assert len(every) <= 10, what


def code_of(path):
    cells = nbformat.read(path, 4).cells
    sources = [c.source for c in cells if c.cell_type == "code"]
    return "\n".join(re.sub(r"^( *)[%!].*$", r"\1pass", s, flags=re.M) for s in sources)


def is_public(module, name):
    """Is it in ``__all__``, or a module whose name is not private?"""
    found = importlib.import_module(module)
    if name in getattr(found, "__all__", ()):
        return True
    value = getattr(found, name, None) or importlib.import_module(f"{module}.{name}")
    return inspect.ismodule(value) and not name.startswith("_")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_public_names_only(path):
    tree = ast.parse(code_of(path))
    hidden, modules = [], {"cl": "caufvae_lite"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("caufvae_lite"):
            for alias in node.names:
                if not is_public(node.module, alias.name):
                    hidden.append(f"{node.module}.{alias.name}")
                inner = f"{node.module}.{alias.name}"
                if inner in {name_of(p) for p in FILES}:
                    modules[alias.asname or alias.name] = inner
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module and not is_public(module, node.attr):
                hidden.append(f"{module}.{node.attr}")
    assert not hidden, f"not in an __all__: {sorted(set(hidden))}"
