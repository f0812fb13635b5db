"""The rooms stay apart: who may import what, and what a pure file may not know."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOTS = ("protocol", "broker", "worker", "client")

#: State and decisions only: no sockets, no clock, no logging, no threads.
PURE = (
    "protocol/augfarm/protocol/arrays.py",
    "protocol/augfarm/protocol/codec.py",
    "protocol/augfarm/protocol/dumps.py",
    "protocol/augfarm/protocol/errors.py",
    "protocol/augfarm/protocol/limits.py",
    "protocol/augfarm/protocol/messages.py",
    "protocol/augfarm/protocol/pictures.py",
    "protocol/augfarm/protocol/seeds.py",
    "protocol/augfarm/protocol/splitting.py",
    "broker/augfarm/broker/core.py",
    "broker/augfarm/broker/events.py",
    "broker/augfarm/broker/windows.py",
    "worker/augfarm/worker/ahead.py",
    "worker/augfarm/worker/roster.py",
    "worker/augfarm/worker/session.py",
    "client/augfarm/client/events.py",
    "client/augfarm/client/folders/annotations/bundle.py",
    "client/augfarm/client/folders/annotations/clipping.py",
    "client/augfarm/client/folders/annotations/coco.py",
    "client/augfarm/client/folders/annotations/rle.py",
    "client/augfarm/client/folders/failures.py",
    "client/augfarm/client/folders/names.py",
    "client/augfarm/client/folders/plan.py",
    "client/augfarm/client/folders/rate.py",
    "client/augfarm/client/lateness.py",
    "client/augfarm/client/isolation.py",
    "client/augfarm/client/ordering.py",
    "client/augfarm/client/outcomes.py",
    "client/augfarm/client/patience.py",
    "client/augfarm/client/preview/levels.py",
    "client/augfarm/client/preview/marks.py",
    "client/augfarm/client/preview/parts.py",
    "client/augfarm/client/preview/words.py",
    "client/augfarm/client/session.py",
)
FORBIDDEN_IN_PURE = {"zmq", "time", "logging", "threading", "asyncio"}


def imported(path: Path) -> set[str]:
    """The full names of all modules that this file imports, anywhere in it."""
    package = path.relative_to(ROOT).parts[1:-1]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def closure(path: Path) -> set[str]:
    """What this file imports, and what files of ours that it imports do."""
    names: set[str] = set()
    waiting, seen = [path], set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        found = imported(current)
        names |= found
        for name in found:
            for root in ROOTS:
                candidate = ROOT / root / (name.replace(".", "/") + ".py")
                if candidate.exists():
                    waiting.append(candidate)
    return names


def sources(root: str) -> list[Path]:
    return sorted((ROOT / root / "augfarm").rglob("*.py"))


@pytest.mark.parametrize("name", PURE)
def test_pure_files_know_no_socket_clock_log_or_thread(name):
    modules = {module.split(".")[0] for module in closure(ROOT / name)}
    assert not modules & FORBIDDEN_IN_PURE


@pytest.mark.parametrize(
    ("root", "strangers"),
    [
        ("protocol", ("broker", "worker", "client")),
        ("broker", ("worker", "client")),
        ("worker", ("broker", "client")),
        ("client", ("broker", "worker")),
    ],
)
def test_a_room_imports_only_itself_and_the_protocol(root, strangers):
    for path in sources(root):
        for stranger in strangers:
            name = f"augfarm.{stranger}"
            bad = {m for m in imported(path) if m == name or m.startswith(name + ".")}
            assert not bad, f"{path.relative_to(ROOT)} imports {bad}"


def test_augfarm_is_a_namespace_package():
    for root in ROOTS:
        assert not (ROOT / root / "augfarm" / "__init__.py").exists()


#: It copies objects of its own process, and its octets never leave its class.
COPIES = ROOT / "protocol" / "augfarm" / "protocol" / "copies.py"


def test_nothing_imports_pickle():
    for root in ROOTS:
        for path in sources(root):
            names = {"pickle", "marshal", "dill", "cloudpickle"} & imported(path)
            assert not names or path == COPIES, path
            assert "augfarm.protocol.copies" not in imported(path) or path.name == "augment.py", path


@pytest.mark.parametrize("root", ROOTS)
def test_init_files_only_re_export(root):
    tree = ast.parse((ROOT / root / "augfarm" / root / "__init__.py").read_text())
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        all_list = isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
        assert docstring or all_list or isinstance(node, ast.ImportFrom), ast.dump(node)


def test_the_test_sees_through_a_forbidden_import(tmp_path):
    """The reader above would notice: it reads relative, nested and aliased imports."""
    room = ROOT / "client" / "augfarm" / "client" / "service.py"
    assert "zmq" not in {m.split(".")[0] for m in imported(room)}
    assert "zmq" in {m.split(".")[0] for m in closure(room)}
