"""The house rules that import-linter cannot say: sizes, parameters, documentation, clocks, commits, broad excepts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import large_tables

ROOT = Path(__file__).parents[1]
PACKAGES = ("fleet", "agent_protocol", "profiles")
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 400, 60, 5
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
# The agent runs on a tablet, apart from the server, and so has its own clock module.
MAY_READ_CLOCK = {"fleet/clock.py", "agent_protocol/clock.py"}
MAY_COMMIT = {"fleet/db.py"}
# Last resorts: a job that fails must not end the runner, nor a request the process; both are logged and answered.
MAY_CATCH_ALL = {
    "fleet/jobs/runner.py",
    "fleet/channels/gate.py",
    "fleet/channels/batching.py",
    "fleet/app/repeating.py",
    "fleet/channels/apple/ringer.py",
    "fleet/app/alerting.py",
    "fleet/channels/apple/steward.py",
}


def sources() -> list[Path]:
    return sorted(
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "versions" not in path.parts and "node_modules" not in path.parts
    )


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_public(name: str) -> bool:
    return not name.startswith("_")


def undocumented(tree: ast.Module) -> Iterator[str]:
    if not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and is_public(node.name):
            if not ast.get_docstring(node):
                yield node.name
            if isinstance(node, ast.ClassDef):
                methods = [inner for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)]
                yield from (f"{node.name}.{m.name}" for m in methods if is_public(m.name) and not ast.get_docstring(m))


def size_faults(tree: ast.Module, name: str) -> Iterator[str]:
    for function in functions(tree):
        where = f"{name}:{function.lineno} {function.name}"
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > MAX_FUNCTION_LINES:
            yield f"{where}: {length} lines, at most {MAX_FUNCTION_LINES}"
        arguments = [*function.args.posonlyargs, *function.args.args]
        count = len([argument for argument in arguments if argument.arg not in {"self", "cls"}])
        is_command = name.startswith("fleet/cli/")  # one parameter per command-line option
        if count > MAX_PARAMETERS and not is_command:
            yield f"{where}: {count} parameters, at most {MAX_PARAMETERS}"


def call_faults(tree: ast.Module, name: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        if name not in MAY_READ_CLOCK and any(called == clock or called.endswith(f".{clock}") for clock in CLOCKS):
            yield f"{name}:{node.lineno} {called}: ask clock.now()"
        if name not in MAY_COMMIT and called.endswith("session.commit"):
            yield f"{name}:{node.lineno} commits outside db.transaction"


def except_faults(tree: ast.Module, name: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and name not in MAY_CATCH_ALL:
            caught = dotted(node.type) if node.type is not None else "everything"
            reraises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            if caught in {"everything", "Exception", "BaseException"} and not reraises:
                yield f"{name}:{node.lineno} catches {caught}"


def faults(source: str, name: str) -> list[str]:
    """Return what in ``source`` breaks a house rule, one text each."""
    tree = ast.parse(source)
    lines = source.count("\n")
    return [
        *(f"{name}: {what} has no docstring" for what in undocumented(tree)),
        *([f"{name}: {lines} lines, at most {MAX_MODULE_LINES}"] if lines > MAX_MODULE_LINES else []),
        *size_faults(tree, name),
        *call_faults(tree, name),
        *except_faults(tree, name),
    ]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_keeps_the_house_rules(path: Path) -> None:
    assert faults(path.read_text(), path.relative_to(ROOT).as_posix()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""D."""\nimport time\nx = time.time()\n', "ask clock.now()"),
        ('"""D."""\ndb.session.commit()\n', "commits outside"),
        ('"""D."""\ntry:\n    pass\nexcept Exception:\n    pass\n', "catches Exception"),
        ('"""D."""\ndef f(a, b, c, d, e, f):\n    """D."""\n', "6 parameters"),
        ('"""D."""\ndef f():\n    pass\n', "f has no docstring"),
        ("x = 1\n", "the module has no docstring"),
        ('"""D."""\n' + "\n" * 400, "401 lines"),
        ('"""D."""\ndef _f():\n' + "    x = 1\n" * 60, "61 lines"),
    ],
)
def test_each_rule_finds_what_breaks_it(source: str, expected: str) -> None:
    assert any(expected in fault for fault in faults(source, "fleet/example.py"))


def locking_indexes(tree: ast.AST, *, is_spared: bool = False, table: str = "") -> Iterator[int]:
    """Return the lines at which a migration makes an index of a large table on PostgreSQL, keeping writers out.

    Those stand under a condition that names ``sqlite``; PostgreSQL has them from ``fleet.large_tables`` afterwards.
    """
    for node in ast.iter_child_nodes(tree):
        words = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)} if is_call(node) else set()
        if is_call(node, "create_index") and not is_spared and (words | {table}) & large_tables.LARGE:
            yield node.lineno  # type: ignore[attr-defined]
        spared = is_spared or (isinstance(node, ast.If) and "sqlite" in ast.unparse(node.test))
        opened = [item.context_expr for item in node.items] if isinstance(node, ast.With) else []
        named = [str(one.args[0].value) for one in opened if is_call(one, "batch_alter_table")]  # type: ignore[attr-defined]
        yield from locking_indexes(node, is_spared=spared, table=named[0] if named else table)


def is_call(node: ast.AST, name: str = "") -> bool:
    return isinstance(node, ast.Call) and dotted(node.func).endswith(name)


def test_no_later_migration_keeps_writers_out_of_a_large_table_to_make_an_index() -> None:
    scripts = sorted((ROOT / "fleet" / "migrations" / "versions").glob("*.py"))
    assert scripts
    later = [path for path in scripts if not path.name.startswith("0001_")]  # the first one finds no rows
    assert [(path.name, line) for path in later for line in locking_indexes(ast.parse(path.read_text()))] == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("op.create_index('ix_a', 'device_state', ['a'])", [1]),
        ("op.create_index('ix_a', 'alert', ['a'])", []),
        ("with op.batch_alter_table('finding', schema=None) as batch:\n    batch.create_index('ix_a', ['a'])", [2]),
        ("with op.batch_alter_table('alert') as batch:\n    batch.create_index('ix_a', ['a'])", []),
        ("if op.get_bind().dialect.name == 'sqlite':\n    op.create_index('ix_a', 'device', ['a'])", []),
        ("def upgrade():\n    op.create_index('ix_a', 'check_in', ['a'])", [2]),
    ],
)
def test_an_index_that_keeps_writers_out_is_seen(source: str, lines: list[int]) -> None:
    assert list(locking_indexes(ast.parse(source))) == lines


def project_files() -> Iterator[Path]:
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if parts[0].startswith(".") and parts[0] != ".ci":
            continue
        if path.is_file() and not {"node_modules", "__pycache__", "vendor", "var"} & set(parts):
            yield path


def test_no_file_names_a_registry_host() -> None:
    hosts = re.compile(r"(pypi|files\.pythonhosted|registry\.npmjs)\.(org|com)")
    naming = [
        path for path in project_files() if hosts.search(path.read_text(errors="ignore")) and path != Path(__file__)
    ]
    assert naming == []


def test_top_level_folders_are_the_fixed_ones() -> None:
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - {"var", "node_modules"}
    assert visible == {"fleet", "agent_protocol", "profiles", "tests", "scripts", "pyproject.toml", "README.md"}
