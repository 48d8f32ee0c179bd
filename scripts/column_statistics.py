"""Print mean and standard deviation of a table's number columns, ready for the settings file.

python scripts/column_statistics.py builtin:orange_juice LoyalCH PriceCH
"""

from __future__ import annotations

import sys

from fl_chain.learning.table import column_statistics, read_table

if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: column_statistics.py TABLE COLUMN [COLUMN ...]")
    for name, (mean, std) in column_statistics(read_table(sys.argv[1]), sys.argv[2:]).items():
        print(f'[[run.task.numeric]]\nname = "{name}"\nmean = {mean:.4g}\nstd = {std:.4g}\n')
