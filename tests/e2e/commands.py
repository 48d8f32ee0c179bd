import subprocess
import sys

COMMAND = [sys.executable, "-m", "fl_chain"]


def run_command(*arguments: str, limit_s: float = 240.0) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, and return what it said."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=limit_s, check=False
    )
