"""A Report on paper: through typst, tagged (PDF/UA-1, PDF/A-2a), the same bytes for the same report."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import font_source_sans_pro
import typst

from dashboard.report import Report

TEMPLATE = Path(__file__).with_name("report.typ")
PAPERS = ("a4", "us-letter")


def render_pdf(report: Report, *, paper: str = "a4") -> bytes:
    """The report as a PDF on 'a4' or 'us-letter'; its date is the report's `as_of`, so two runs give the same bytes."""
    if paper not in PAPERS:
        raise ValueError(f"paper {paper!r} is unknown: {' or '.join(PAPERS)}")
    moment = datetime.fromisoformat(report.as_of).replace(tzinfo=UTC)
    # Data goes in as one string: typst never parses it, so markup in a name is printed as it stands.
    return bytes(
        typst.compile(
            str(TEMPLATE),
            font_paths=_fonts(),
            ignore_system_fonts=True,
            format="pdf",
            sys_inputs={"data": json.dumps(asdict(report), ensure_ascii=False), "paper": paper},
            pdf_standards=["a-2a", "ua-1"],
            timestamp=int(moment.timestamp()),
        )
    )


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, font_paths=[str(Path(font_source_sans_pro.__file__).parent / "files")])
