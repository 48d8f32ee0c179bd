"""Take part in a run: the same as ``fl-chain worker``."""

import sys

from fl_chain.cli import main

sys.argv.insert(1, "worker")
main()
