"""These tests use the deployed runs of the ledger's tests as well."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "ledger"))
