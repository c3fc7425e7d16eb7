"""Data flows one way: a part of lensax imports only from the parts above it, and `import lensax` stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "lensax"

ORDER = [
    "_types",
    "_memory",
    "_check",
    "_geometry",
    "_compile",
    "_cores",
    "_batching",
    "_prefetch",
    "parameters",
    "cosmology",
    "mass",
    "light",
    "halos",
    "raytrace",
    "instrument",
    "scene",
    "recipe",
    "simulate",
    "inversion",
    "campaign",
    "interop",
    "fit",
    "config",
    "citations",
    "plot",
    "report",
    "cli",
    "__main__",
]

# (importing part, imported part, function): reading YAML is the one place where a model, or a store that holds the YAML
# of one, looks below itself.
EXCEPTIONS = {
    ("simulate", "config", "from_yaml"),
    ("campaign", "config", "stored_instrument"),
    ("campaign", "config", "stored_model"),
}

# What simulating does not need: storage, catalogues, the command line, pictures, other codes.
HEAVY = [
    "astropy",
    "autolens",
    "colossus",
    "dask",
    "h5py",
    "lenstronomy",
    "matplotlib",
    "numpyro",
    "optax",
    "pandas",
    "pydantic",
    "rich",
    "torch",
    "typer",
    "xarray",
    "yaml",
    "zarr",
]


def part_of(module: str) -> str | None:
    """The part that a dotted module name lies in, "" for the package itself, None outside lensax."""
    names = module.split(".")
    if names[0] != "lensax":
        return None
    return names[1] if len(names) > 1 else ""


def is_type_checking(test: ast.expr) -> bool:
    """Whether an `if` stands for code that only type checkers read."""
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def imports(node: ast.AST, package: list[str], function: str = "") -> Iterator[tuple[str, str, int]]:
    """(dotted module, enclosing function, line) of every import that runs; relative imports are resolved."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name, function, child.lineno
        elif isinstance(child, ast.ImportFrom):
            above = package[: len(package) - child.level + 1] if child.level else []
            base = ".".join([*above, *([child.module] if child.module else [])])
            for alias in child.names:
                yield f"{base}.{alias.name}" if base == "lensax" else base, function, child.lineno
        elif isinstance(child, ast.If) and is_type_checking(child.test):
            for other in child.orelse:
                yield from imports(ast.Module([other], []), package, function)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(child, package, child.name)
        else:
            yield from imports(child, package, function)


def violations(source: str, parts: tuple[str, ...]) -> list[str]:
    """Imports of one module, `parts` being its path below src, that go against the order."""
    found = []
    importer = parts[1]
    for module, function, line in imports(ast.parse(source), list(parts[:-1])):
        imported = part_of(module)
        if imported is None or imported == importer or (importer, imported, function) in EXCEPTIONS:
            continue
        if imported not in ORDER or ORDER.index(imported) > ORDER.index(importer):
            found.append(f"line {line}: {importer} imports {module}")
    return found


def path_parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(SOURCE.parent).with_suffix("").parts


MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: ".".join(path_parts(path)[1:]))
def test_imports_only_from_above(path: Path) -> None:
    parts = path_parts(path)
    assert parts[1] in ORDER, f"{path.name} is in no known part of lensax: give it its place in ORDER"
    assert violations(path.read_text(), parts) == []


@pytest.mark.parametrize(
    ("source", "parts", "count"),
    [
        ("from lensax.mass import Halo", ("lensax", "scene"), 0),
        ("from lensax.scene import Scene", ("lensax", "mass", "halo"), 1),
        ("import lensax.scene", ("lensax", "mass", "halo"), 1),
        ("from lensax import scene", ("lensax", "mass", "halo"), 1),
        ("from ..scene import Scene", ("lensax", "mass", "halo"), 1),
        ("from .. import scene", ("lensax", "mass", "halo"), 1),
        ("from .base import MassProfile", ("lensax", "mass", "halo"), 0),
        ("import lensax", ("lensax", "plot"), 1),
        ("def f():\n    from lensax.cli import main", ("lensax", "plot"), 1),
        ("if TYPE_CHECKING:\n    from lensax.cli import main", ("lensax", "plot"), 0),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from lensax.cli import main", ("lensax", "plot"), 1),
        ("class M:\n    def from_yaml(self):\n        from lensax.config import load", ("lensax", "simulate"), 0),
        ("from lensax.config import load", ("lensax", "simulate"), 1),
    ],
)
def test_the_check_sees(source: str, parts: tuple[str, ...], count: int) -> None:
    assert len(violations(source, parts)) == count


def test_import_lensax_is_light() -> None:
    program = "import sys, lensax; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "lensax" in loaded
    assert sorted(loaded.intersection(HEAVY)) == []
