"""Who may import whom. The book never touches the wire, the rules touch nothing, and what IB says reaches the book through one file.

The imports are read from the sources, those inside functions included; tests and migrations are not part of the layers.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from oms_site.tests.desk import ROOT


@dataclass(frozen=True)
class Room:
    """What the modules below a name may import: of ours, and of the libraries. The standard library is open to all."""

    ours: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


PAGES = Room(
    ("orders",),
    ("django", "django_htmx", "channels", "asgiref", "ulid"),
    never=("orders.intake", "orders.outbox", "orders.lease", "orders.book"),
)
# The longest name that covers a module decides.
ROOMS = {
    "orders.rules": Room(("orders.rules",)),
    "orders.models": Room(("orders.models", "orders.rules"), ("django",)),
    "orders.queries": Room(
        ("orders.queries", "orders.models", "orders.rules", "orders.contracts", "orders.trading_day", "orders.errors"), ("django",)
    ),
    "orders.pages": PAGES,
    "orders.templatetags": PAGES,
    "orders": Room(("orders",), ("django", "channels", "asgiref", "ulid"), never=("orders.pages",)),
    "broker.simulator": Room(("broker.simulator",)),
    "broker.engine": Room(("broker", "orders"), ("django", "asgiref"), never=("orders.pages", "orders.manager")),
    "broker.management": Room(
        ("broker", "orders"), ("django", "asgiref", "channels"), never=("orders.pages", "orders.intake", "orders.outbox")
    ),
    "broker.worker": Room(("broker",), ("django", "asgiref", "channels")),
    "broker.hosting": Room((), ("daphne", "twisted")),
    "broker": Room(("broker", "orders.rules", "orders.errors", "orders.crashpoints"), ("ib_async", "eventkit")),
    "oms_site": Room(("oms_site", "orders.pages"), ("django", "asgiref", "channels", "dj_database_url")),
}
LAYERED = ("orders", "broker", "oms_site")
# Programs that try the desk as a whole, from outside: no part of it, and imported by nothing of it.
TOOLS = {("oms_site", "bench"), ("oms_site", "soak"), ("oms_site", "screenshot"), ("oms_site", "simulation"), ("oms_site", "faults")}
MANAGER_WRITES = {"create", "acreate", "delete", "adelete", "update", "aupdate"}
WRITES = {"save", "asave", "bulk_create", "bulk_update", "get_or_create", "update_or_create", "abulk_create", "aget_or_create"}


def within(name: str, rooms: tuple[str, ...]) -> bool:
    """Whether the module is one of `rooms` or below it."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of ours that is part of a layer, with its file."""
    for top in LAYERED:
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if {"tests", "migrations", "__pycache__"} & set(parts) or parts[:2] in TOOLS:
                continue
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(module: str, path: Path) -> Iterator[str]:
    """The full names of what a module imports; of our own packages, with the name taken from them, which may be a module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" if base.split(".")[0] in LAYERED else base for alias in node.names)


def room_of(module: str) -> Room:
    """The room with the longest name that covers the module."""
    return ROOMS[max((name for name in ROOMS if within(module, (name,))), key=len)]


def trespasses(module: str, path: Path) -> Iterator[str]:
    """What the module imports and may not."""
    room = room_of(module)
    for name in imports(module, path):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            continue
        if top in LAYERED:
            fine = name == top or (within(name, room.ours) and not within(name, room.never))
        else:
            fine = top in room.libraries
        if not fine:
            yield f"{module} imports {name}"


def test_every_module_stays_in_its_room() -> None:
    found = [trespass for module, path in sources() for trespass in trespasses(module, path)]
    assert not found, "\n".join(found)


def test_the_walk_sees_the_layers() -> None:
    seen = {module for module, _ in sources()}
    assert {"orders.rules.terms", "orders.book", "broker.hosting", "oms_site.settings"} <= seen
    assert "orders.rules.terms.plain" in set(imports("orders.book", ROOT / "orders" / "book.py"))


@pytest.mark.parametrize(
    ("module", "line", "allowed"),
    [
        ("orders.rules.x", "from decimal import Decimal", True),
        ("orders.rules.x", "from django.utils import timezone", False),
        ("orders.rules.x", "from ..models import Book", False),
        ("orders.pages.views", "from orders import intake", False),
        ("orders.pages.views", "from orders import queries", True),
        ("orders.intake", "import broker.engine", False),
        ("orders.intake", "def late():\n    import ib_async", False),
        ("broker.engine", "from orders.outbox import claim", True),
        ("broker.engine.sending", "import ib_async", False),
        ("broker.translate", "from orders.models import Book", False),
        ("broker.simulator.server", "import twisted", False),
        ("broker.simulator.server", "from broker.translate import x", False),
    ],
)
def test_the_walk_finds_a_trespass(tmp_path: Path, module: str, line: str, allowed: bool) -> None:
    file = tmp_path / "module.py"
    file.write_text(line)
    assert (list(trespasses(module, file)) == []) == allowed


def writes(node: ast.AST) -> bool:
    """Whether the node is a call that writes rows: `.save()` and its kin, or a writing verb of a manager of rows."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    return node.func.attr in WRITES or (node.func.attr in MANAGER_WRITES and ".objects" in ast.unparse(node.func))


def test_pages_never_write_a_row() -> None:
    pages = [(module, path) for module, path in sources() if within(module, ("orders.pages",))]
    found = [f"{module}, line {node.lineno}" for module, path in pages for node in ast.walk(tree(path)) if writes(node)]  # type: ignore[attr-defined]
    assert not found, "\n".join(found)


def test_one_module_builds_a_connection_to_ib() -> None:
    makers = {
        module
        for module, path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"IB", "ib_async.IB"}
    }
    assert all(within(module, ("broker.connector",)) for module in makers), makers
