"""What all pages share in looks."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent


def apply() -> None:
    """Set up the page and its style; call first in the script."""
    st.set_page_config(page_title="Smart Shelf", page_icon=HERE / "icon.svg", layout="wide")
    st.logo(HERE / "logo.svg", size="large")
    st.html(HERE / "theme.css")
