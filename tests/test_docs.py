"""The documentation is true: its programs run, its configurations load, the commands and files that it names exist."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = re.compile(r"^```python([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RING = "requires=ring"  # marks a program that needs the images of the example
CAMPAIGN = "requires=campaign"  # marks a program that reads what `lensax simulate` has made
TORCH = "requires=torch"  # marks a block that is left out where PyTorch is missing


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def programs(page: Path) -> tuple[str, str]:
    """All Python blocks of a page as one program, on the lines where they stand; and what it needs."""
    text = page.read_text()
    lines, needs = [""] * text.count("\n"), ""
    for match in PYTHON.finditer(text):
        if TORCH in match.group(1) and importlib.util.find_spec("torch") is None:
            continue
        needs += match.group(1)
        first = text.count("\n", 0, match.start(2))
        for offset, line in enumerate(match.group(2).splitlines()):
            lines[first + offset] = line
    return "\n".join(lines), needs


WITH_CODE = [page for page in PAGES if PYTHON.search(page.read_text())]
CONFIGURATIONS = [
    (page, index, text)
    for page in PAGES
    for index, text in enumerate(YAML.findall(page.read_text()))
    if "instrument:" in text and "source:" in text
]


def run(page: Path, program: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{name(page)}:\n{done.stderr[-3000:]}"


# Pages whose programs compile a whole model, as that of the page on reading does.
LONG = {f"docs/{page}.md" for page in ("quickstart", "fitting", "populations", "inversion", "lattice", "coming-from")}


def pages(needs: str | None) -> list[Any]:
    """Pages whose programs need this, or nothing."""
    found = [
        page for page in WITH_CODE if (needs in programs(page)[1] if needs else "requires" not in programs(page)[1])
    ]
    return [pytest.param(page, marks=pytest.mark.extended) if name(page) in LONG else page for page in found]


@pytest.mark.parametrize("page", pages(None), ids=name)
def test_program_of_page_runs(page: Path) -> None:
    run(page, programs(page)[0], ROOT)


@pytest.mark.parametrize("page", pages(CAMPAIGN), ids=name)
def test_program_of_page_runs_on_a_campaign(page: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "configuration.yaml"
    configuration.write_text(CONFIGURATIONS[0][2])
    command = [sys.executable, "-m", "lensax", "simulate", str(configuration), "--count", "12", "--out", "output/first"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    run(page, programs(page)[0], tmp_path)


@pytest.mark.parametrize("page", pages(RING), ids=name)
def test_program_of_page_runs_on_the_ring(page: Path, shared: Path, tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to(shared / "data" / "hst_f390w_ring")
    run(page, programs(page)[0], tmp_path)
    assert (tmp_path / "simulated").is_dir()


@pytest.mark.parametrize(
    ("page", "index", "text"), CONFIGURATIONS, ids=[f"{name(p)}-{i}" for p, i, _ in CONFIGURATIONS]
)
def test_configuration_of_page_loads(page: Path, index: int, text: str, tmp_path: Path) -> None:
    from lensax.config import load

    path = tmp_path / "configuration.yaml"
    path.write_text(text)
    assert "lens.redshift" in load(path).parameters


def test_pages_with_code_are_found() -> None:
    assert {"quickstart.md", "coming-from.md", "real-data.md"} <= {page.name for page in WITH_CODE}
    assert {"configuration.md"} <= {page.name for page, _, _ in CONFIGURATIONS}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_files_of_page_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    text = re.sub(r"^--8<--.*$", "", text, flags=re.MULTILINE)  # measurements are included where they have been made
    named = re.findall(r"(?:configs|benchmarks|tests|docs|src)/[\w/-]+(?:\.\w+)?", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_key_is_documented() -> None:
    """The configuration page names every section and key; parameters of profiles stand in the reference."""
    from lensax.config.fit import FitSchema
    from lensax.config.schema import Schema

    text = (ROOT / "docs" / "configuration.md").read_text()
    written = set(re.findall(r"\w+", text))
    every = dict.fromkeys([*keys(Schema), *keys(FitSchema)])
    assert [key for key in every if key not in written] == []


def keys(section: Any) -> Iterator[str]:
    """Keys of a section and of those below it, but for the parameters of profiles."""
    from pydantic import BaseModel

    stack = [section]
    while stack:
        kind = stack.pop()
        stack.extend(getattr(kind, "__args__", ()))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from kind.model_fields
            if kind.__name__ not in ("MassProfile", "LightProfile", "LinearLight", "Amplitude"):
                stack.extend(sub.annotation for sub in kind.model_fields.values())
