"""A shop's invoice lines -> what each customer bought a day."""

import polars as pl


def revenue(lines: pl.LazyFrame) -> pl.LazyFrame:
    """One row a customer and day. Cancelled lines have a negative quantity, and so take their part off.

    A quarter of the lines has no customer: they stay, as one row of their own with a null.
    """
    return (
        lines.with_columns(amount=pl.col("UnitPrice") * pl.col("Quantity").cast(pl.Decimal(18, 0)))
        .group_by("day", pl.col("CustomerID").alias("customer_id"))
        .agg(
            invoices=pl.col("InvoiceNo").n_unique(),
            lines=pl.len(),
            revenue=pl.col("amount").sum(),
        )
        .sort("customer_id")
    )
