"""The pages, one script each, listed by `st.navigation` in `app.py`."""
