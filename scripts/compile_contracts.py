"""Compile the contracts and write, or with ``--check`` compare, the artifacts that the package carries."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import solcx

SOLC_VERSION = "0.8.37"
ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
ARTIFACTS = ROOT / "fl_chain" / "ledger" / "artifacts"
SOURCE_UNITS = ("MaskedLedger.sol", "SecureAggregation.sol", "TrainingLedger.sol")
# All come from one compilation: ledgers and what decides their challenges fit together.
CONTRACTS_BY_UNIT = {
    "TrainingLedger.sol": "TrainingLedger",
    "ChallengeVerifier.sol": "ChallengeVerifier",
    "MaskedLedger.sol": "MaskedLedger",
    "SecureAggregation.sol": "SecureAggregation",
    "MaskChallenges.sol": "MaskChallenges",
}
BASES = ("MaskState.sol",)  # more units whose immutables stand in the contracts' code
IMPORTED = re.compile(r'^(?:import\b[^;]*?|\}\s*from\s*)["\']([^"\']+)["\']', re.MULTILINE)
SETTINGS: dict[str, Any] = {
    "evmVersion": "cancun",
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": True,
    # Without the metadata hash the bytecode depends on the code alone, not on comments or folders.
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "outputSelection": {
        # The syntax tree names the immutables, which the compiler numbers only.
        unit: {contract: ["abi", "evm.bytecode", "evm.deployedBytecode", "storageLayout"], "": ["ast"]}
        for unit, contract in CONTRACTS_BY_UNIT.items()
    }
    | {unit: {"": ["ast"]} for unit in BASES},
}


def path_of(unit: str) -> Path:
    """Return the file of a source unit; libraries come from npm."""
    return CONTRACTS / ("node_modules" if unit.startswith("@") else "") / unit


def read_sources(*roots: str) -> dict[str, str]:
    """Return every source unit that some reach through its imports, itself included, by relative name.

    Raises:
        SystemExit: if a file is missing.
    """
    sources: dict[str, str] = {}
    pending = list(roots or SOURCE_UNITS)
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


def compile_sources(sources: dict[str, str], output: dict[str, dict[str, list[str]]]) -> dict[str, Any]:
    """Compile source units and return what the compiler says of them.

    Args:
        sources: what ``read_sources`` returned.
        output: what is asked for, by source unit and contract.

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
        "settings": SETTINGS | {"outputSelection": output},
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
    output = compile_sources(read_sources(unit), {unit: {contract: ["evm.bytecode"]}})
    return bytes.fromhex(output["contracts"][unit][contract]["evm"]["bytecode"]["object"])


def compile_artifacts(only: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Compile the contracts and return their artifacts by the contract's name.

    Args:
        only: of which contracts code is made; all by default.

    Raises:
        SystemExit: if there is no compiler, or the sources do not compile.
    """
    sources = read_sources()  # all of them, whatever is compiled: the compiler numbers what it reads
    wanted = {unit: {"": ["ast"]} for unit in (*CONTRACTS_BY_UNIT, *BASES)}  # contracts inherit immutables
    wanted |= {
        unit: SETTINGS["outputSelection"][unit]
        for unit, contract in CONTRACTS_BY_UNIT.items()
        if not only or contract in only
    }
    return artifacts_of(compile_sources(sources, wanted), sources)


def artifacts_of(output: dict[str, Any], sources: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the artifacts of those contracts that were compiled.

    Args:
        output: what `compile_sources` returned, with the syntax trees of the settings' own selection.
        sources: of the source units.
    """
    compiled = {
        unit: contract
        for unit, contract in CONTRACTS_BY_UNIT.items()
        if "evm" in output["contracts"].get(unit, {}).get(contract, {})
    }
    names = {
        str(node["id"]): node["name"]
        for unit in output["sources"].values()
        for node in variable_declarations(unit.get("ast"))
    }
    return {
        contract: artifact_of(
            contract, output["contracts"][unit][contract], names, output["version"], sources
        )
        for unit, contract in compiled.items()
    }


def variable_declarations(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the declarations of variables in a syntax tree."""
    if isinstance(node, dict):
        if node.get("nodeType") == "VariableDeclaration":
            yield node
        for part in node.values():
            yield from variable_declarations(part)
    elif isinstance(node, list):
        for part in node:
            yield from variable_declarations(part)


def artifact_of(
    contract: str, compiled: dict[str, Any], names: dict[str, str], version: str, sources: dict[str, str]
) -> dict[str, Any]:
    """Return a contract's artifact from what the compiler says of it.

    Args:
        contract: its name.
        compiled: the compiler's answer.
        names: of variables, by their numbers in the syntax tree.
        version: of the compiler.
        sources: of the source units.
    """
    deployed = compiled["evm"]["deployedBytecode"]
    references = deployed.get("immutableReferences", {})
    positions = [spot | {"name": names[number]} for number, spots in references.items() for spot in spots]
    return {
        "contractName": contract,
        "compiler": {"version": version, "settings": SETTINGS},
        "sources": source_hashes(sources),
        "abi": compiled["abi"],
        "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + deployed["object"],
        "immutableReferences": sorted(positions, key=lambda spot: (spot["start"], spot["length"])),
        "storageLayout": storage_layout_of(compiled["storageLayout"]),
    }


def storage_layout_of(layout: dict[str, Any]) -> dict[str, Any]:
    """Return where a contract's state lies, without the syntax tree's numbers, which change with any edit."""
    content = json.loads(re.sub(r"(\([^()]*\))\d+", r"\1", json.dumps(layout)))
    types = content["types"] or {}
    members = [one for kind in types.values() for one in kind.get("members", ())]
    for variable in [*content["storage"], *members]:
        del variable["astId"], variable["contract"]
    return {"storage": content["storage"], "types": types}


def path_of_artifact(contract: str) -> Path:
    """Return the file of a contract's artifact."""
    return ARTIFACTS / f"{contract}.json"


def stale_sources() -> list[str]:
    """Return the source units that changed since the committed artifacts were made; needs no compiler."""
    current = source_hashes(read_sources())
    stale: set[str] = set()
    for contract in CONTRACTS_BY_UNIT.values():
        committed = json.loads(path_of_artifact(contract).read_text(encoding="utf-8"))["sources"]
        stale |= {
            unit for unit in committed.keys() | current.keys() if committed.get(unit) != current.get(unit)
        }
    return sorted(stale)


def encode(artifact: dict[str, Any]) -> str:
    """Return the artifact as it is stored."""
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Run the command line; 0 is success, 1 a committed artifact that is not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed artifact, write nothing"
    )
    parser.add_argument("--only", nargs="+", choices=sorted(CONTRACTS_BY_UNIT.values()), default=())
    options = parser.parse_args()
    stale = []
    for contract, artifact in compile_artifacts(options.only).items():
        path, text = path_of_artifact(contract), encode(artifact)
        if not options.check:
            ARTIFACTS.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path.relative_to(ROOT)))
    if stale:
        print(f"not current: {', '.join(stale)}; run `make contracts`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
