"""The order lines of the online shop: what both jobs on them, demand and next baskets, begin with."""

from __future__ import annotations

import polars as pl

from fl_chain.config import DataPlaces
from fl_chain.data.catalogue import dataset
from fl_chain.data.places import located


def sales(places: DataPlaces) -> pl.DataFrame:
    """Return the sales, one row an order line.

    Left out are cancellations (invoices that begin with C, and quantities below 1), lines without a price,
    and codes that are no product (postage, fees, gift vouchers: products begin with five digits).

    Args:
        places: where data sets are looked for.

    Returns:
        Columns ``invoice``, ``item``, ``quantity``, ``time``, ``customer`` (null where unknown), ``country``.

    Raises:
        DatasetUnavailable: if the set is not on this machine.
    """
    lines = pl.read_parquet(located(dataset("online_retail"), places)[0])
    return lines.filter(
        ~pl.col("InvoiceNo").str.starts_with("C"),
        pl.col("Quantity") > 0,
        pl.col("UnitPrice") > 0,
        pl.col("StockCode").str.contains(r"^\d{5}"),
    ).select(
        invoice="InvoiceNo",
        item=pl.col("StockCode").str.to_uppercase(),
        quantity="Quantity",
        time="InvoiceDate",
        customer="CustomerID",
        country="Country",
    )
