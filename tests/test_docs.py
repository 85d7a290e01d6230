"""The documents: their examples run, their links lead somewhere, and what the code has they name."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["facts", "workloads", "pricing", "capacity", "probes", "selector", "dashboard"]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
MARK = "<!-- checked by the tests -->"


# Examples


@dataclass(frozen=True, kw_only=True)
class Example:
    """One command of a marked block and what it prints.

    where: document and line
    command: without the leading `$ `
    output: the lines below it; a line `...` stands for any number of lines, `...` within a line for any text
    """

    where: str
    command: str
    output: str


def examples() -> list[Example]:
    """Every command of every ```console block that stands under the mark."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in re.finditer(re.escape(MARK) + r"\n+```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text[: block.start()].count("\n") + 3
            where = f"{document.relative_to(ROOT)}:{line}"
            for part in re.split(r"^\$ ", block[1], flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                found.append(Example(where=where, command=command, output=output))
    return found


def matches(expected: str, printed: str) -> bool:
    """Line by line, blanks at line ends apart; `...` alone on a line is any lines, inside a line any text."""
    pattern = ""
    for line in expected.rstrip().splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r".*?".join(re.escape(part) for part in line.rstrip().split("...")) + r"[ ]*\n"
    return re.fullmatch(pattern, printed.rstrip() + "\n") is not None


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"{example.where} {example.command}")
def test_an_example_prints_what_the_document_says(example: Example, tmp_path: Path) -> None:
    words = shlex.split(example.command)
    assert words[0] == "python", "an example is a `python -m` command"
    environ = os.environ | {"RIGHTSIZE_DATA_DIR": str(tmp_path), "COLUMNS": "120", "NO_COLOR": "1"}
    environ.pop("DATABASE_URL", None)
    ended = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert matches(example.output, ended.stdout), f"{example.where}: the command now prints\n{ended.stdout}"


def test_dots_stand_for_lines_or_for_text() -> None:
    assert matches("a\n...\nd", "a\nb\nc\nd\n")
    assert matches("a\n...\nd", "a\nd\n")
    assert matches("total ... USD", "total 12 USD\n")
    assert not matches("a\nd", "a\nb\nd\n")
    assert not matches("total 12 USD", "total 13 USD\n")


# Links and commands


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    files = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith(("#", "mailto:"))]
    assert [file for file in files if not (document.parent / file).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_and_module_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)(?:[A-Z_]+=\S+ )*make ([a-z]+)", text, re.MULTILINE))
    assert named <= targets
    modules = {name.replace(".", "/") for name in re.findall(r"python -m ([a-z_.]+)", text)}
    assert [name for name in modules if not ((ROOT / f"{name}.py").is_file() or (ROOT / name / "__main__.py").is_file())] == []


def test_the_readme_opens_with_a_sentence_and_the_two_commands() -> None:
    title, _, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n\n")
    opening = rest.partition("\n\n")[0]
    assert title == "# Rightsize"
    assert opening.count(". ") == 0
    assert opening.endswith(".")
    assert rest.index("make run") < rest.index("make test") < 1200


def test_decisions_are_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [name[:4] for name in names] == [f"{number:04d}" for number in range(1, len(names) + 1)]


# What the code has


def python_files() -> list[Path]:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return sorted(path for path in files if path.name != "__init__.py" and "versions" not in path.parts)


def test_every_module_is_in_the_architecture_and_every_file_it_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set()
    for section in text.split("\n### `")[1:]:
        room = section.partition("/`")[0]
        named |= {f"{room}/{name}" for name in re.findall(r"^\| `([\w/]+\.py)`", section, re.MULTILINE)}
    there = {str(path.relative_to(ROOT)): path for path in python_files()}
    lines = [f"{name}: {(ast.get_docstring(ast.parse(path.read_text())) or '').splitlines()[:1]}" for name, path in there.items()]
    missing = [line for line in lines if line.partition(":")[0] not in named]
    assert not missing, "add to the tables of docs/architecture.md: " + "; ".join(missing)
    assert named <= set(there), f"no longer there: {sorted(named - set(there))}"


# What every reader knows, or what is a name rather than a term.
EVERYDAY = """
API APIs AWS CPU CPUs CSV GPU GPUs HTTP ID JSON LLM OK PDF POST SQL SQLite TOML URL USD UTC UTF XLSX SVG XML HTML IT NVIDIA AMD IBM
AI OECD EU US UK BSD MIT GDPR RIGHTSIZE ISO RFC UI II III IV NAME FILE
"""


def field_texts() -> list[tuple[str, str]]:
    """(where, text) of every string under an annotated field of a class: what forms, help and error messages show."""
    texts = []
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            for field, below in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                    texts.append((f"{path.relative_to(ROOT)}:{below.lineno}", str(below.value.value)))
    return texts


def test_every_abbreviation_that_a_field_is_explained_with_is_in_the_glossary() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    unknown = {
        (word, where)
        for where, text in field_texts()
        for word in re.findall(r"(?<![\w`./:_-])[A-Z][A-Z]{1,4}(?![\w`/:_-])", text)
        if word not in EVERYDAY.split() and not re.search(rf"\b{word}\b", glossary)
    }
    assert not unknown, f"define these in docs/glossary.md: {sorted(unknown)}"


TERMS = """
TTFT TPOT ITL MBU MFU goodput SLO p95 throughput utilization concurrency
CAPEX OPEX TCO NPV ROI payback IRR PUE FTE TDP break-even
"""


@pytest.mark.parametrize("term", TERMS.split())
def test_the_words_of_the_field_are_in_the_glossary_each_once(term: str) -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert len(re.findall(rf"^\| \*\*{term}\b", glossary, re.MULTILINE)) == 1


def test_every_line_of_a_bill_is_in_the_glossary() -> None:
    from pricing.costs import LINE_NAMES, UPFRONT_NAMES

    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [name for name in (*LINE_NAMES, *UPFRONT_NAMES) if f"`{name}`" not in glossary] == []
