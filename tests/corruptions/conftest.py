"""These tests use the consortium of the roles' tests and the liars of the attacks."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("roles", "attacks")]
