"""The order lines of Online Retail, cleaned: what two of the examples start from."""

from __future__ import annotations

from functools import cache

import polars as pl

from fl_chain.config import data_places
from fl_chain.data.catalogue import dataset
from fl_chain.data.places import located


@cache
def sales() -> pl.DataFrame:
    """Return the sales, one row an order line.

    Left out are cancellations (invoices that begin with C, and quantities below 1), lines without a price,
    and codes that are no product (postage, fees, gift vouchers: products begin with five digits).

    Returns:
        Columns ``invoice``, ``item``, ``quantity``, ``time``, ``customer`` (null where unknown), ``country``.

    Raises:
        DatasetUnavailable: if the set is not on this machine.
    """
    lines = pl.read_parquet(located(dataset("online_retail"), data_places())[0])
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
