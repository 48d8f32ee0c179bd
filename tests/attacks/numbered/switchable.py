"""The instrumented contract and the hostile ones, compiled; see `contract_switches` for what can be switched.

``python tests/attacks/numbered/switchable.py`` compiles them anew (half a minute); ``--check`` compares.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from contract_switches import instrumented

from fl_chain.ledger.artifact import Artifact, parse_artifact

ROOT = Path(__file__).resolve().parents[3]
COMPILED = Path(__file__).with_name("switchable.json")
HOSTILE = Path(__file__).parent / "contracts" / "Hostile.sol"
UNIT = "Hostile.sol"
LEDGERS = ("TrainingLedger.sol", "MaskedLedger.sol", "SecureAggregation.sol")
ARTIFACT_PARTS = ("bytecode", "deployedBytecode", "immutableReferences", "storageLayout")


def sources() -> dict[str, str]:
    """Return every source unit, the shipped ones with their switches; needs the libraries but no compiler."""
    sys.path.append(str(ROOT / "scripts"))
    import compile_contracts as compiler

    shipped = compiler.read_sources(*LEDGERS) | compiler.read_sources("test/Tokens.sol")
    del shipped["test/Tokens.sol"]  # it is read for the token library alone
    return dict(sorted((instrumented(shipped) | {UNIT: HOSTILE.read_text(encoding="utf-8")}).items()))


def source_hash(units: dict[str, str]) -> str:
    """Return the SHA-256 of all sources."""
    return hashlib.sha256(json.dumps(units, sort_keys=True).encode()).hexdigest()


def compiled(units: dict[str, str]) -> dict[str, Any]:
    """Compile, in one run of the compiler."""
    import compile_contracts as compiler

    wanted = compiler.SETTINGS["outputSelection"] | {
        UNIT: {"HostileAccount": ["evm.bytecode"], "HostileToken": ["evm.bytecode"]}
    }
    output = compiler.compile_sources(units, wanted)
    contracts = output["contracts"]
    codes = {name: contracts[UNIT][name]["evm"]["bytecode"]["object"] for name in wanted[UNIT]}
    return {
        "sources": source_hash(units),
        "bytecode": codes,
        "artifacts": {
            name: {part: one[part] for part in ARTIFACT_PARTS}
            for name, one in compiler.artifacts_of(output, {}).items()
        },
    }


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(COMPILED.read_text(encoding="utf-8"))
    return content


@cache
def creation_code(contract: str) -> bytes:
    """Return what deploys one of the contracts, before its constructor's arguments."""
    artifacts = _content()["artifacts"]
    if contract in artifacts:
        return bytes.fromhex(artifacts[contract]["bytecode"].removeprefix("0x"))
    return bytes.fromhex(_content()["bytecode"][contract])


@cache
def artifact(contract: str) -> Artifact:
    """Return what the package would carry of a contract, were the instrumented one what it ships."""
    return parse_artifact({"abi": [], **_content()["artifacts"][contract]})


def main() -> int:
    """Run the command line; 0 is success, 1 a file that is not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    text = json.dumps(compiled(sources()), indent=1, sort_keys=True) + "\n"
    if options.check:
        is_current = COMPILED.is_file() and COMPILED.read_text(encoding="utf-8") == text
        if not is_current:
            print(f"{COMPILED} is not current: run `make contracts`", file=sys.stderr)
        return 0 if is_current else 1
    COMPILED.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
