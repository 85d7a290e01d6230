"""Sources: published claims with their arithmetic, the user's own file, and the method in the app."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.method_section import PAGES, readable
from selector.audit import AuditVerdict, audit_claims
from selector.catalog import load_catalog
from selector.claims import shipped_claims

ROOT = Path(__file__).resolve().parents[2]
OWN = """
[[claim]]
id = "mine"
kind = "payback"
quote = "The $15K server pays back in under two months"
upfront_usd = 15000
saving_usd_per_month = 5000
stated_payback_months = 2
"""


def opened(part: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("dashboard/pages/sources.py").run()
    return app.button_group(key="sources.part").set_value(part).run()


def said(app: AppTest) -> str:
    parts: list[str] = []
    for kind in (app.markdown, app.caption, app.subheader, app.error, app.info):
        parts += [str(element.value) for element in kind]
    return " ".join(parts).replace("\\", "")


def uploaded(app: AppTest, raw: bytes) -> AppTest:
    return app.file_uploader(key="claims.upload").set_value([("CLAIMS.toml", raw, "application/toml")]).run()


def test_every_shipped_claim_stands_with_its_verdict_and_arithmetic() -> None:
    from datetime import UTC, datetime

    app = opened("Published claims")
    assert not app.exception
    text = said(app)
    results = audit_claims(shipped_claims(), load_catalog(datetime.now(UTC).date()))
    assert f"{len(results)} claims recomputed" in text
    for result in results:
        assert " ".join(result.arithmetic.split()) in text
    assert text.count("-badge[does not reproduce]") == sum(result.verdict is AuditVerdict.DOES_NOT for result in results)


def test_a_verdict_can_be_picked() -> None:
    app = opened("Published claims")
    app.button_group(key="claims.verdict").set_value([AuditVerdict.REPRODUCES]).run()
    assert not app.exception
    assert "-badge[does not reproduce]" not in said(app)
    assert "-badge[reproduces]" in said(app)


def test_an_own_file_is_recomputed_in_place_of_the_articles() -> None:
    app = uploaded(opened("Published claims"), OWN.encode())
    assert not app.exception
    text = said(app)
    assert "1 claim recomputed: 0 reproduce, 1 does not" in text
    assert "payback months 2" in text
    assert "Recomputed: payback months 3" in text


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"[[claim]\n", "is not valid TOML"),
        (b"", "no claim to audit"),
        (b'[[claim]]\nid = "x"\nkind = "horoscope"\n', "unknown kind 'horoscope'"),
        (OWN.replace("upfront_usd", "upfront_eur").encode(), "upfront_eur"),
    ],
)
def test_a_bad_file_is_one_sentence(raw: bytes, sentence: str) -> None:
    app = uploaded(opened("Published claims"), raw)
    assert not app.exception
    assert sentence in " ".join(error.value for error in app.error).replace("\\", "")


def test_markup_in_a_quote_is_text() -> None:
    text = OWN.replace("The $15K server", "<b>The</b> [link](http://x.example) $15K")
    app = uploaded(opened("Published claims"), text.encode())
    assert any(r"\<b>The\</b>" in str(element.value) for element in app.markdown)


@pytest.mark.parametrize("name", PAGES)
def test_the_method_can_be_read_in_the_app(name: str) -> None:
    app = opened("Method")
    app.selectbox(key="method.page").set_value(name).run()
    assert not app.exception
    first = (ROOT / "docs" / f"{name}.md").read_text().splitlines()[0].removeprefix("# ")
    assert any(f"### {first}" in str(element.value) for element in app.markdown)


def test_without_documents_the_page_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("dashboard.method_section.show.__defaults__", (tmp_path,))
    app = opened("Method")
    assert not app.exception
    assert "not installed with the program" in said(app)


def test_amounts_are_no_formulas_and_code_stays_as_it_is() -> None:
    text = "# Bill\n\nIt is $5 of $10, see [words](glossary.md) and [x](https://x.example).\n\n```python\n# a comment\nusd = '$5'\n```\n"
    assert readable(text) == (
        "### Bill\n\nIt is \\$5 of \\$10, see words and [x](https://x.example).\n\n```python\n# a comment\nusd = '$5'\n```\n"
    )
