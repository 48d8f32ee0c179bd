"""Print mean and standard deviation of a table's number columns, ready for the settings file.

python scripts/column_statistics.py builtin:orange_juice LoyalCH PriceCH
"""

from __future__ import annotations

import sys

from fl_chain.errors import FlChainError
from fl_chain.learning.table import column_statistics, read_table


def main(arguments: list[str]) -> None:
    """Print a TOML table for each column."""
    if len(arguments) < 2:
        sys.exit("usage: column_statistics.py TABLE COLUMN [COLUMN ...]")
    try:
        statistics = column_statistics(read_table(arguments[0]), arguments[1:])
    except FlChainError as error:
        sys.exit(str(error))
    for name, (mean, std) in statistics.items():
        print(f'[[run.task.numeric]]\nname = "{name}"\nmean = {mean:.4g}\nstd = {std:.4g}\n')


if __name__ == "__main__":
    main(sys.argv[1:])
