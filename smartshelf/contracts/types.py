"""The few scalar types that fields have, with their bounds and units."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

#: More units than this in one event can only be a broken sensor or a broken sender.
ABSURD_QUANTITY = 10_000

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Uuid = Annotated[str, Meta(min_length=1, max_length=128, extra={"sql": "uuid"})]
Text = Annotated[str, Meta(max_length=2_000)]
Moment = Annotated[datetime, Meta(tz=True, description="simulated UTC, ISO 8601 with Z")]
WallMoment = Annotated[datetime, Meta(tz=True, description="wall-clock UTC, for latency only")]
Units = Annotated[int, Meta(ge=1, le=ABSURD_QUANTITY, description="units, at least one")]
SignedUnits = Annotated[int, Meta(ge=-ABSURD_QUANTITY, le=ABSURD_QUANTITY, description="units, signed")]
Stock = Annotated[int, Meta(ge=0, le=10_000_000, description="units")]
#: A balance is never clamped: a negative one is shown and alerted.
Balance = Annotated[int, Meta(description="units; negative where the books disagree with reality")]
Counter = Annotated[int, Meta(ge=0)]
Grams = Annotated[float, Meta(description="grams")]
Weight = Annotated[float, Meta(gt=0, le=1_000_000, description="grams")]
#: JSON has no decimals. Whoever computes an amount rounds it to cents, which a double holds exactly enough up to this
#: bound; Postgres keeps numeric(12, 2) and sums there.
Money = Annotated[float, Meta(ge=0, le=10_000_000, description="EUR", extra={"decimal": (12, 2)})]
Share = Annotated[float, Meta(ge=0, le=1, description="ratio 0-1")]
Percent = Annotated[float, Meta(ge=0, le=100, description="percent 0-100")]
#: A JSON document as text, so that flat rows can carry it.
Json = Annotated[str, Meta(max_length=16_000, description="JSON as text", extra={"sql": "json"})]
CalendarDate = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="ISO date", extra={"sql": "date"})]

encode = msgspec.json.Encoder().encode
