"""Availability: at which hours and in which aisles shelves stood empty, and what was thrown away."""

from __future__ import annotations

import altair as alt
import streamlit as st

from dashboard.business import ServiceLevel
from dashboard.controls import choose_store, clock_bar, live, say_if_stale
from dashboard.queries import Feed, feed
from dashboard.views import figures, fill, service_level
from dashboard.views.text import moment

#: Label -> days, today included.
PERIODS = {"Today": 1, "Last 7 days": 7, "Last 28 days": 28}
#: Availability at which the colours end; what is below looks the same.
DARKEST = 0.7
#: A legend label as Vega makes it from its ``datum``.
LEGEND = f"format(datum.value, '.0%') + (datum.value <= {DARKEST} ? ' or less' : '')"
COLUMNS = {
    "Availability": st.column_config.NumberColumn(format="%.1f %%", help="Share of open shelf minutes with stock"),
    "Empty shelf hours": st.column_config.NumberColumn(
        format="%.1f", help="Time that shelves stood empty while the store was open, summed over the aisle's shelves"
    ),
    "Cost": st.column_config.NumberColumn(format="%.2f €", help="What the goods had cost"),
}


def show() -> None:
    """Draw the page; its live parts refresh themselves every DASH_REFRESH_MS."""
    shared = feed()
    left, right = st.columns([3, 1], vertical_alignment="center")
    with left:
        live(clock_bar, shared)
    with right:
        store_id = choose_store(shared)
        chosen = st.segmented_control(
            "Period", list(PERIODS), default="Today", required=True, key="period", label_visibility="collapsed"
        )
    live(_live, shared, store_id, PERIODS[chosen or "Today"])


def _live(shared: Feed, store_id: str, days: int) -> None:
    reading = shared.service_level(store_id, days).get()
    names = service_level.aisle_names(shared.products(store_id))
    say_if_stale(reading)
    st.html(figures.figures_html(service_level.key_figures(reading.value, names)))
    if reading.value is None:
        return
    st.markdown("**On-shelf availability by aisle and hour**")
    if reading.value.hours:
        st.altair_chart(_heat_map(reading.value, names))
        st.caption(service_level.summary(reading.value))
        with st.expander("By aisle, as a table"):
            st.dataframe(service_level.aisle_frame(reading.value, names), hide_index=True, column_config=COLUMNS)
    else:
        st.info(_no_hours(shared), icon=":material/schedule:")
    st.markdown("**Thrown away**")
    if reading.value.waste:
        frame = service_level.waste_frame(reading.value)
        st.dataframe(frame, hide_index=True, column_config=COLUMNS, alt="Waste by category with units and cost")
    else:
        st.info("Nothing was thrown away in this period.", icon=":material/check_circle:")


def _no_hours(shared: Feed) -> str:
    clock, calendar = shared.clock.get().value, shared.config.calendar
    if clock is None:
        return "No hour has been measured yet."
    if calendar.is_open(clock.now):
        return "No hour of this period has ended yet; a row comes with every full hour."
    return f"The store was not open in this period yet. It opens {moment(calendar.next('opening', clock.now))}."


def _heat_map(known: ServiceLevel, names: dict[int, str]) -> alt.Chart:
    theme = "dark" if st.context.theme.type == "dark" else "light"
    ramp, ink = {"dark": fill.RAMP_DARK, "light": fill.RAMP_LIGHT}[theme], st.get_option(f"theme.{theme}.textColor")
    return (
        alt.Chart(service_level.heat_frame(known, names), height={"step": 17})
        .mark_rect()
        .encode(
            x=alt.X("hour:O", title="Hour of the day", axis=alt.Axis(labelAngle=0, labelFlush=False)),
            y=alt.Y(
                "name:N",
                title=None,
                sort=alt.SortField("aisle"),
                axis=alt.Axis(labelLimit=170, labelOverlap=False, labelFlush=False),
            ),
            color=alt.Color(
                "availability:Q",
                title="With stock",
                scale=alt.Scale(domain=[DARKEST, 1], range=list(ramp), clamp=True, interpolate="rgb"),
                legend=alt.Legend(orient="top", gradientLength=160, labelExpr=LEGEND),
            ),
            tooltip=[
                alt.Tooltip("name", title="Aisle"),
                alt.Tooltip("hour", title="Hour"),
                alt.Tooltip("availability", title="With stock", format=".1%"),
                alt.Tooltip("empty", title="Empty shelf minutes"),
            ],
        )
        # Streamlit's own labels are too pale to be read easily.
        .configure_axis(labelColor=ink, titleColor=ink)
        .configure_legend(labelColor=ink, titleColor=ink)
    )


show()
