"""The page of a running store, ``streamlit run dashboard/app.py``: navigation only.

A new page is one file in ``pages`` and one line here.
"""

from __future__ import annotations

import streamlit as st

from dashboard import theme
from dashboard.pages import pipeline, shelves, store
from dashboard.queries import feed
from smartshelf.errors import SmartShelfError

theme.apply()
try:
    feed()
except SmartShelfError as problem:
    st.error(str(problem), icon=":material/error:")
    st.stop()

st.navigation(
    [
        st.Page(store.show, title="Store", icon=":material/storefront:", url_path="store", default=True),
        st.Page(shelves.show, title="Shelves", icon=":material/table_rows:", url_path="shelves"),
        st.Page(pipeline.show, title="Pipeline", icon=":material/conversion_path:", url_path="pipeline"),
    ],
    position="top",
).run()
