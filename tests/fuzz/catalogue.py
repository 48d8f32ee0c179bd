"""Which modules read bytes of others, and why some of them have no target."""

from __future__ import annotations

import ast
from pathlib import Path

FL_CHAIN = Path(__file__).parents[2] / "fl_chain"

# A call by one of these names takes bytes or text apart.
READING_CALLS = {
    *("loads", "fromhex", "frombuffer", "unpack", "unpack_from", "literal_eval", "read_csv"),
    *("read_parquet", "read_bytes", "read_text", "model_validate", "model_validate_json", "validate_json"),
    *("decode", "executescript", "connect", "recover_message", "decrypt", "exec", "compile"),
}
# And so does a public function or method whose name begins like this.
READING_NAMES = ("decode", "parse", "read_", "load", "lanes_from_")

REASONS = {
    "fl_chain.aggregation.challenges": "tests/attacks forges ten thousand proofs for it",
    "fl_chain.aggregation.kernels": "lanes and values whose form its callers have checked",
    "fl_chain.aggregation.native": "an interface of those",
    "fl_chain.aggregation.whole_round": "chunk hashes that it has just computed",
    "fl_chain.audit.ledger_state": "an address that the run's history has checked",
    "fl_chain.audit.sketches": "lanes that the store has checked, and digests",
    "fl_chain.cli.audit": "connects; what nodes answer is read in fl_chain.ledger",
    "fl_chain.cli.plot": "hands two files' bytes to fl_chain.report.schema",
    "fl_chain.cli.report": "hands a file's bytes to fl_chain.report.schema",
    "fl_chain.commitment.native": "loads the compiled loops, which come from this package",
    "fl_chain.ledger.devnet.stored": "values that hash to the names they were stored under by py-evm",
    "fl_chain.machine.compiling": "compiles the package's own sources",
    "fl_chain.machine.objects": "object files of this package's own making, told by their digests",
    "fl_chain.machine.sha256": "loads one of those",
    "fl_chain.ledger.devnet.proofs": "nodes of the chain's own tries",
    "fl_chain.ledger.code": "compares code with the package's own",
    "fl_chain.ledger.trie_roots": "hexadecimal digits that it made itself",
    "fl_chain.ledger.saved_anvil": "needs anvil; tests/nodes/test_saved_chains.py alters every part of it",
    "fl_chain.report.page": "templates of the package",
    "fl_chain.ledger.memory.client": "tests/unit/simulation alters a saved ledger's calls",
    "fl_chain.ledger.memory.dispatch": "values of those calls, which the ledger's rules then judge",
    "fl_chain.run.cohort_key": "the member's own folder; the keys in it fl_chain.encryption.keys reads",
    "fl_chain.run.durable": "an actor's own folder; what its callers make of the bytes is theirs",
    "fl_chain.run.encrypted": "the holder's own folder, damaged in its tests; blobs through the store",
    "fl_chain.run.kept": "the participant's own folder, by digest; damage reads as nothing",
    "fl_chain.masking.masks": "the output of its own cipher",
    "fl_chain.run.ring": "the participant's own folder; the rest it reads through the store",
    "fl_chain.simulation.choices": "the settings that this command itself wrote beside its run",
    "fl_chain.simulation.ledgers": "connects; what nodes answer is read in fl_chain.ledger",
    "fl_chain.run.rule": "reads through the store; the parser behind it is target documents'",
    "fl_chain.audit.copies": "reads through the store only",
    "fl_chain.audit.models": "reads through the store only",
    "fl_chain.audit.rounds": "roots that it wrote itself, or that fl_chain.audit.resumption has checked",
    "fl_chain.cli.attestation": "hands a file's bytes to fl_chain.audit.attestation",
    "fl_chain.cli.actors": "the environment of the user's own process",
    "fl_chain.cli.connection": "arguments and environment of the user's own process",
    "fl_chain.cli.setup": "writes the template that the package carries",
    "fl_chain.data.catalogue": "files of the package, each pinned by its digest",
    "fl_chain.data.online_retail": "a file whose digest was checked",
    "fl_chain.data.places": "compares files with their digests",
    "fl_chain.data.reading": "files whose digests were checked; tests/unit/data reads malformed ones",
    "fl_chain.demo": "the output of processes that it started itself",
    "fl_chain.learning.table_task": "columns of a table that fl_chain.learning.table has read",
    "fl_chain.learning.task": "an interface",
    "fl_chain.learning.vectors": "arrays of the participant's own model",
    "fl_chain.privacy.noise": "a key stream that it makes itself",
    "fl_chain.ledger.anvil": "the output of a process that it started itself",
    "fl_chain.ledger.signing": "addresses of this process's own transactions",
    "fl_chain.encryption.delivery": "authenticated bytes, which fl_chain.encryption.keys then reads",
    "fl_chain.encryption.rounds": "numbers that fl_chain.encryption.ciphertexts has checked",
    "fl_chain.encryption.seal": "streams that the library wrote in this process; numbers that were checked",
    "fl_chain.store.store": "gives the blobs their names; fl_chain.store.replicas reads them",
}


def reading_modules() -> dict[str, list[str]]:
    """Return the modules of fl_chain that take bytes or text apart, with what shows it."""
    found: dict[str, list[str]] = {}
    for path in sorted(FL_CHAIN.rglob("*.py")):
        signs = sorted(set(_signs(ast.parse(path.read_text(encoding="utf-8")))))
        if signs:
            name = ".".join(path.relative_to(FL_CHAIN.parent).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = signs
    return found


def _signs(tree: ast.AST) -> list[str]:
    signs = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in READING_CALLS:
                signs.append(f"calls {name}")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith(READING_NAMES):
            signs.append(f"defines {node.name}")
    return signs
