"""The documentation runs: every Python block of every page, in order, as a reader would type it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]


def program(page: Path) -> str:
    """All blocks of a page as one program, on the lines where they stand, so that errors point into the page."""
    text = page.read_text()
    lines = [""] * text.count("\n")
    for match in BLOCK.finditer(text):
        first = text.count("\n", 0, match.start(1))
        for offset, line in enumerate(match.group(1).splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_of_page_runs(page: Path) -> None:
    done = subprocess.run([sys.executable, "-c", program(page)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{page.name}:\n{done.stderr[-3000:]}"


def test_pages_with_code_are_found() -> None:
    assert {"quickstart.md", "coming-from.md"} <= {page.name for page in WITH_CODE}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_page_exist(page: Path) -> None:
    """`make` targets and repository files that a page names are there."""
    text = page.read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets
    named = re.findall(r"`((?:configs|benchmarks|tests|docs|src)/[\w./-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
