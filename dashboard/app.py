"""The page of a running store, ``streamlit run dashboard/app.py``: navigation only.

A new page is one script in ``app_pages`` and one line here. The folder is not called ``pages``: beside the main
script that name means Streamlit's older kind of multipage app, and the second run of a session then finds no page.
"""

from __future__ import annotations

import streamlit as st

from dashboard import theme
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
        st.Page("app_pages/store.py", title="Store", icon=":material/storefront:", default=True),
        st.Page("app_pages/shelves.py", title="Shelves", icon=":material/table_rows:", url_path="shelves"),
        st.Page("app_pages/alerts.py", title="Alerts", icon=":material/notifications:", url_path="alerts"),
        st.Page("app_pages/orders.py", title="Orders", icon=":material/local_shipping:", url_path="orders"),
        st.Page(
            "app_pages/availability.py",
            title="Availability",
            icon=":material/calendar_view_month:",
            url_path="availability",
        ),
        st.Page("app_pages/pipeline.py", title="Pipeline", icon=":material/conversion_path:", url_path="pipeline"),
    ],
    position="top",
).run()
