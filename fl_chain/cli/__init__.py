"""The command line."""

from fl_chain.cli.main import main

__all__ = ["main"]
