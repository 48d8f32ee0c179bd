"""Stands between slither and the Solidity compiler: asks for syntax trees alone, and gives empty code.

Slither reads the trees; generating code from them takes the compiler several times as long as all else.

    python scripts/syntax_trees.py <compiler> <its arguments>
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

WANTED = {"*": {"*": ["abi", "devdoc", "userdoc", "evm.methodIdentifiers"], "": ["ast"]}}
NO_CODE = {"object": "", "sourceMap": ""}


def main() -> int:
    """Run the compiler on the request on standard input; 0 is success."""
    command = sys.argv[1:]
    if "--standard-json" not in command:
        return subprocess.run(command, check=False).returncode  # noqa: S603 -- what slither calls
    request = json.load(sys.stdin)
    request["settings"]["outputSelection"] = WANTED
    run = subprocess.run(  # noqa: S603 -- what slither calls
        command, input=json.dumps(request), stdout=subprocess.PIPE, text=True, check=False
    )
    if run.returncode:
        return run.returncode
    print(json.dumps(with_empty_code(json.loads(run.stdout))))
    return 0


def with_empty_code(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a compiler's answer in the form that it has with code."""
    for unit in answer.get("contracts", {}).values():
        for contract in unit.values():
            contract["metadata"] = ""
            contract["evm"] |= {"bytecode": NO_CODE, "deployedBytecode": NO_CODE}
    return answer


if __name__ == "__main__":
    sys.exit(main())
