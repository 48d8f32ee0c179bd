"""Deploy a run: the same as ``fl-chain deploy``."""

import sys

from fl_chain.cli import main

sys.argv.insert(1, "deploy")
main()
