"""The kinds of files. To add one: a file here that makes a ``Kind``, and its name below."""

from __future__ import annotations

from smartshelf.ingest.kinds.base import Kind
from smartshelf.ingest.kinds.deliveries import DELIVERIES
from smartshelf.ingest.kinds.policies import POLICIES
from smartshelf.ingest.kinds.products import PRODUCTS
from smartshelf.ingest.kinds.sales import SALES

KINDS: dict[str, Kind] = {kind.name: kind for kind in (DELIVERIES, SALES, PRODUCTS, POLICIES)}
