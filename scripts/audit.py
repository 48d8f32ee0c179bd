"""Audit a run: the same as ``fl-chain audit``."""

import sys

from fl_chain.cli import main

sys.argv.insert(1, "audit")
main()
