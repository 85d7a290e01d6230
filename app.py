"""The entry: Streamlit's page script, and when a server imports it, the ASGI app with the routes beside the pages."""

from __future__ import annotations

import streamlit as st

DARK = """<style>
[data-variant=segmented_control][data-selected=true] p { color: #7CBBF2; }
</style>"""
"""The chosen segment's text in the dark theme: in the primary colour, which must carry white text, it would be too dim to read."""


def main() -> None:
    """Frame of every page: navigation on top, the inputs at the left, the page itself."""
    st.set_page_config(page_title="Rightsize", page_icon="⚖️", layout="wide")
    if st.context.theme.type == "dark":
        st.html(DARK)
    from dashboard import access

    access.require()
    pages = [
        st.Page("dashboard/pages/decide.py", title="Decide", default=True),
        st.Page("dashboard/pages/costs.py", title="Costs"),
        st.Page("dashboard/pages/measure.py", title="Measure"),
        st.Page("dashboard/pages/evaluate.py", title="Evaluate"),
        st.Page("dashboard/pages/playbook_page.py", title="Playbook", url_path="playbook"),
        st.Page("dashboard/pages/saved.py", title="Saved"),
        st.Page("dashboard/pages/report.py", title="Report"),
        st.Page("dashboard/pages/sources.py", title="Sources"),
        st.Page("dashboard/pages/shared.py", title="Shared", visibility="hidden"),
    ]
    page = st.navigation(pages, position="top")
    from dashboard import forms, undo  # only now: the frame is drawn before the imports that take seconds

    if page.url_path != "shared":  # what a link shows is for reading: no inputs beside it, and its address stays
        forms.inputs(page.url_path)
    access.whoami()
    undo.row()
    page.run()


if __name__ == "__main__" and st.runtime.exists():  # run as the page script, also by AppTest
    main()
else:  # imported by the server, or `python app.py`
    from dashboard.middleware import middleware
    from dashboard.routes import routes
    from dashboard.state import lifespan, say_sorry

    app = st.App(__file__, routes=routes, lifespan=lifespan, middleware=middleware, on_script_error=say_sorry)
    if __name__ == "__main__":
        app.run()
