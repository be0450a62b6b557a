"""Taxi rides, with what their total does not explain."""

import pyarrow as pa
import pyarrow.compute as pc

PARTS = ["fare_amount", "extra", "mta_tax", "tip_amount", "tolls_amount", "improvement_surcharge"]


def unexplained(rides: pa.Table) -> pa.Table:
    """Add `unexplained`: the total less its parts, in dollars. A surcharge that is null counts as none."""
    parts = pc.fill_null(rides["congestion_surcharge"], 0.0)
    for name in PARTS:
        parts = pc.add(parts, rides[name])
    rest = pc.round(pc.subtract(rides["total_amount"], parts), 2)
    return rides.append_column("unexplained", rest)
