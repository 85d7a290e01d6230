"""The last act that took something away, and its way back: one row above the page, for a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from dashboard import format as fmt
from facts.errors import InputError

OFFER: Final = "undo.offer"
OFFERED_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What was done, in a sentence, and what takes it back.

    until_s: of the monotonic clock
    """

    words: str
    back: Callable[[], object]
    until_s: float


def offer(words: str, back: Callable[[], object]) -> None:
    """Offer to take back what was just done; a later act takes the place of an earlier one."""
    st.session_state[OFFER] = Offer(words=words, back=back, until_s=time.monotonic() + OFFERED_S)


def values_back(names: tuple[str, ...]) -> Callable[[], None]:
    """What fills these widgets again with what stands in them now."""
    kept: dict[str, Any] = {name: st.session_state[name] for name in names if name in st.session_state}
    return lambda: st.session_state.update(kept)


def row() -> None:
    """The offer with its button, where there is one."""
    found: Offer | None = st.session_state.get(OFFER)
    if found is None or time.monotonic() > found.until_s:
        st.session_state.pop(OFFER, None)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="undo"):
        st.markdown(fmt.markdown_literal(found.words))
        st.button("Undo", key="undo.button", icon=":material/undo:", on_click=_back)


def _back() -> None:
    found: Offer | None = st.session_state.pop(OFFER, None)
    if found is None:
        return
    try:
        found.back()
        st.toast("Undone.")
    except InputError as error:
        st.toast(f"This could not be undone: {fmt.markdown_literal(str(error))}", icon=":material/error:")
