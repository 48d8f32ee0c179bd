"""These tests use the consortium of the roles' tests as well."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "roles"))
