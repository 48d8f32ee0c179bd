"""Compile the contracts and write, or with ``--check`` compare, the artifact that the package carries."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import solcx

SOLC_VERSION = "0.8.37"
ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
ARTIFACT = ROOT / "fl_chain" / "ledger" / "artifacts" / "TrainingLedger.json"
SOURCE_UNIT = "TrainingLedger.sol"
CONTRACT = "TrainingLedger"
IMPORTED = re.compile(r'^(?:import\b[^;]*?|\}\s*from\s*)["\']([^"\']+)["\']', re.MULTILINE)
SETTINGS: dict[str, Any] = {
    "evmVersion": "cancun",
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": True,
    # Without the metadata hash the bytecode depends on the code alone, not on comments or folders.
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "outputSelection": {SOURCE_UNIT: {CONTRACT: ["abi", "evm.bytecode", "evm.deployedBytecode"]}},
}


def path_of(unit: str) -> Path:
    """Return the file of a source unit; libraries come from npm."""
    return CONTRACTS / ("node_modules" if unit.startswith("@") else "") / unit


def read_sources(root: str = SOURCE_UNIT) -> dict[str, str]:
    """Return every source unit that one reaches through its imports, itself included, by relative name.

    Raises:
        SystemExit: if a file is missing.
    """
    sources: dict[str, str] = {}
    pending = [root]
    while pending:
        unit = pending.pop()
        if unit in sources:
            continue
        try:
            text = path_of(unit).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise SystemExit(
                f"{unit} is missing; run `npm ci` in contracts/ (it needs Node.js 20 or later)"
            ) from None
        sources[unit] = text
        pending += [resolve(unit, target) for target in IMPORTED.findall(text)]
    return dict(sorted(sources.items()))


def resolve(unit: str, target: str) -> str:
    """Return the source unit that an import in ``unit`` names."""
    if not target.startswith("."):
        return target
    parts = unit.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def source_hashes(sources: dict[str, str]) -> dict[str, str]:
    """Return the SHA-256 of every source unit."""
    return {unit: hashlib.sha256(text.encode()).hexdigest() for unit, text in sources.items()}


def find_compiler() -> Path:
    """Return the pinned compiler: one that solcx has installed, else the npm package.

    Raises:
        SystemExit: if there is neither.
    """
    if any(str(version) == SOLC_VERSION for version in solcx.get_installed_solc_versions()):
        return Path(solcx.install.get_executable(SOLC_VERSION))
    wrapper = CONTRACTS / "solc.sh"
    if not (CONTRACTS / "node_modules" / "solc").is_dir():
        raise SystemExit(
            f"no Solidity compiler {SOLC_VERSION}: install Node.js 20 or later and run `npm ci` in contracts/"
        )
    return wrapper


def compile_unit(unit: str, sources: dict[str, str], output: dict[str, list[str]]) -> dict[str, Any]:
    """Compile one source unit and return what the compiler says of it and of all that it reaches.

    Args:
        unit: its relative name.
        sources: what ``read_sources`` returned for it.
        output: what is asked for, by the contract's name.

    Raises:
        SystemExit: if there is no compiler, another one, or the sources do not compile.
    """
    compiler = find_compiler()
    version = solcx.wrapper.get_solc_version(compiler, with_commit_hash=True)
    if version.base_version != SOLC_VERSION:
        raise SystemExit(f"the compiler is {version}, expected {SOLC_VERSION}; run `npm ci` in contracts/")
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": SETTINGS | {"outputSelection": {unit: output}},
    }
    try:
        answer: dict[str, Any] = solcx.compile_standard(request, solc_binary=compiler)
    except solcx.exceptions.SolcError as error:
        raise SystemExit(f"the contracts do not compile:\n{error}") from error
    return answer | {"version": str(version)}


def creation_code(unit: str, contract: str) -> bytes:
    """Return what deploys a contract of any source unit.

    Raises:
        SystemExit: if there is no compiler, or the sources do not compile.
    """
    output = compile_unit(unit, read_sources(unit), {contract: ["evm.bytecode"]})
    return bytes.fromhex(output["contracts"][unit][contract]["evm"]["bytecode"]["object"])


def compile_artifact() -> dict[str, Any]:
    """Compile the contract and return its artifact.

    Raises:
        SystemExit: if there is no compiler, or the sources do not compile.
    """
    sources = read_sources()
    output = compile_unit(SOURCE_UNIT, sources, SETTINGS["outputSelection"][SOURCE_UNIT])
    compiled = output["contracts"][SOURCE_UNIT][CONTRACT]
    deployed = compiled["evm"]["deployedBytecode"]
    # The keys are AST ids, which say nothing; where the immutables stand is all that a reader needs.
    positions = [spot for spots in deployed["immutableReferences"].values() for spot in spots]
    return {
        "contractName": CONTRACT,
        "compiler": {"version": output["version"], "settings": SETTINGS},
        "sources": source_hashes(sources),
        "abi": compiled["abi"],
        "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + deployed["object"],
        "immutableReferences": sorted(positions, key=lambda spot: (spot["start"], spot["length"])),
    }


def stale_sources() -> list[str]:
    """Return the source units that changed since the committed artifact was made; needs no compiler."""
    committed = json.loads(ARTIFACT.read_text(encoding="utf-8"))["sources"]
    current = source_hashes(read_sources())
    return sorted(
        unit for unit in committed.keys() | current.keys() if committed.get(unit) != current.get(unit)
    )


def encode(artifact: dict[str, Any]) -> str:
    """Return the artifact as it is stored."""
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Run the command line; 0 is success, 1 a committed artifact that is not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed artifact, write nothing"
    )
    options = parser.parse_args()
    text = encode(compile_artifact())
    if not options.check:
        ARTIFACT.parent.mkdir(parents=True, exist_ok=True)
        ARTIFACT.write_text(text, encoding="utf-8")
        return 0
    if not ARTIFACT.is_file() or ARTIFACT.read_text(encoding="utf-8") != text:
        print(f"{ARTIFACT.relative_to(ROOT)} is not current: run `make contracts`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
