"""Part of Sources: the method, its words, its accuracy and its evidence, as they stand in the documents beside the program."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {"method": "Method", "glossary": "Glossary", "accuracy": "Accuracy of the speed estimates", "evidence": "Evidence on quality"}


def show(folder: Path = DOCS) -> None:
    """One of the documents, chosen; where the program was installed without them, that is said."""
    chosen = st.selectbox("Document", list(PAGES), format_func=PAGES.__getitem__, key="method.page", persist_state="session")
    path = folder / f"{chosen}.md"
    if not path.is_file():
        st.info("The documents are not installed with the program: they are in its source, in the folder docs.")
        return
    st.markdown(readable(path.read_text(encoding="utf-8")))


def readable(markdown: str) -> str:
    """A document as the page shows it: headings two steps down, amounts in USD as text, links to other files as words."""
    parts = re.split(r"(```.*?```|`[^`\n]*`)", markdown, flags=re.DOTALL)
    return "".join(part if part.startswith("`") else _prose(part) for part in parts)


# ---- below: how ----


def _prose(text: str) -> str:
    text = re.sub(r"\[([^\]]+)\]\((?!https?://)[^)]*\)", r"\1", text)
    text = re.sub(r"^(#{1,4}) ", r"##\1 ", text, flags=re.MULTILINE)
    return re.sub(r"(?<!\\)([$~])", r"\\\1", text)
