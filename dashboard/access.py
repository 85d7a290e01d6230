"""Who may come in: nobody is asked on one's own machine; for teams, Streamlit's own login (OpenID Connect) or a proxy's word."""

from __future__ import annotations

import logging

import streamlit as st

from facts.settings import Settings, settings

LOG = logging.getLogger(__name__)


def require() -> None:
    """Let a signed-in user through; stop the page for everyone else, with a button or a sentence. Without `sign_in` everyone passes."""
    environment = settings()
    if environment.sign_in not in ("oidc", "header"):
        return
    email = _email()
    if environment.sign_in == "oidc" and not st.user.get("is_logged_in"):
        _offer_sign_in()
        st.stop()
    if not email:
        _refuse("You are not signed in", "The sign-in in front of this server did not say who you are. Open it by its public address.")
    if not allowed(email, environment):
        LOG.warning("a user was refused who is not on the list of allowed users")
        _refuse(
            "This account may not come in",
            "Ask the administrator to add your address to the allowed users.",
            out=environment.sign_in == "oidc",
        )


def whoami() -> None:
    """At the end of the sidebar: who is signed in, and the way out."""
    environment = settings()
    if environment.sign_in not in ("oidc", "header"):
        return
    with st.sidebar:
        st.caption(f"Signed in as {_literal(_email())}")
        if environment.sign_in == "oidc":
            st.button("Sign out", on_click=st.logout, key="access.out")


def allowed(email: str, environment: Settings) -> bool:
    """Whether an address, or its domain, is on the list; an empty list lets everyone in who signed in."""
    if not environment.allowed_users:
        return True
    address = email.strip().lower()
    return address in environment.allowed_users or f"@{address.rpartition('@')[2]}" in environment.allowed_users


def _offer_sign_in() -> None:
    st.title("Rightsize", anchor=False)
    st.write("Sign in with your organisation's account to see which model should run where, and what it costs.")
    st.button("Sign in", type="primary", on_click=st.login, key="access.in")


def _refuse(title: str, sentence: str, *, out: bool = False) -> None:
    st.error(sentence, title=title)
    if out:
        st.button("Sign out", on_click=st.logout, key="access.out")
    st.stop()


def _email() -> str:
    return str(st.user.get("email") or "")


def _literal(text: str) -> str:
    from dashboard.format import markdown_literal

    return markdown_literal(text)
