"""The gas of challenges, as receipts of anvil: it applies the calldata floor of EIP-7623, as mainnet does.

A proof of a chunk needs no whole vector: what stands beside the chunk is drawn, and the roots follow from it.
So a model of a million lanes is as quick to lie about as a small one, and nothing of a proof is compressible.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from contract_run import DEFINITION, ETHER, POLICY
from eth_abi.abi import encode

from fl_chain.commitment.merkle import node_hash
from fl_chain.commitment.partial_sums import level_sizes
from fl_chain.commitment.seals import sealed_root
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.account import Account, send_all
from fl_chain.ledger.anvil import running_anvil
from fl_chain.ledger.artifact import training_ledger
from fl_chain.ledger.gas import DEPLOYMENT_GAS
from fl_chain.ledger.node import Node, connect
from fl_chain.ledger.signing import Call
from fl_chain.records import ZERO_ADDRESS, Address, Digest, RunId

HARDFORK = "prague"
# Of the development accounts that anvil starts with.
BANK_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
DEPTH = 10  # of a million lanes
CHUNK = 613
CHUNK_BYTES = 4096
FAN_IN = 8
GAS_LIMIT = 5_000_000
MOST = 512
UNFINAL_ROUNDS = 64
ROUND = 1


@dataclass(frozen=True)
class Chunk:
    """A drawn chunk of a drawn vector."""

    content: bytes
    path: tuple[bytes, ...]

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(b"\x00" + self.content).digest()

    @property
    def root(self) -> Digest:
        node = self.hash
        for level, sibling in enumerate(self.path):
            node = node_hash(sibling, node) if CHUNK >> level & 1 else node_hash(node, sibling)
        return Digest(node)


class World:
    """A node with rounds of one ledger each."""

    def __init__(self, node: Node) -> None:
        """Fund who takes part."""
        self.node = node
        self.draw = random.Random(4)
        self.bank = Account(node, BANK_KEY)
        keys = [hashlib.sha256(f"participant {i}".encode()).digest() for i in range(MOST)]
        self.participants = [Account(node, key) for key in keys]
        send_all([(self.bank, Call(one.address, b"", 21_000, ETHER)) for one in self.participants])

    def chunk(self) -> Chunk:
        """Draw a chunk and its siblings."""
        path = tuple(self.draw.randbytes(32) for _ in range(DEPTH))
        return Chunk(self.draw.randbytes(CHUNK_BYTES), path)

    def deploy(self, base_root: Digest, submissions: int, **policy: int) -> Address:
        """Deploy a ledger, open round 1 of it for so many participants."""
        definition = (*DEFINITION[:2], base_root, DEFINITION[3])
        rules = tuple((POLICY | {"depositWei": 1, "clipLanes": 100} | policy).values())
        arguments = encode(ledger_abi().constructor, (definition, rules, self.bank.address, ZERO_ADDRESS))
        receipt = self.bank.send(None, training_ledger().bytecode + arguments, gas=DEPLOYMENT_GAS)
        assert receipt.contract is not None
        ledger, people = receipt.contract, self.participants[:submissions]
        for name in ("fund", "depositBond"):
            self.send(ledger, self.bank, name, 10 * ETHER, value=10 * ETHER)
        self.send_each(ledger, [(self.bank, "admit", (one.address, 1000), 0) for one in people])
        self.send_each(ledger, [(one, "register", (one.address,), 1) for one in people])
        self.send(ledger, self.bank, "openRound")
        return ledger

    def send(self, ledger: Address, who: Account, name: str, *arguments: object, value: int = 0) -> int:
        """Call a ledger and return the gas used."""
        data = ledger_abi().functions[name].encode(arguments)
        return who.send(ledger, data, gas=GAS_LIMIT, value_wei=value).gas_used

    def send_each(
        self, ledger: Address, orders: Sequence[tuple[Account, str, tuple[object, ...], int]]
    ) -> None:
        """Call a ledger many times in one go."""
        functions = ledger_abi().functions
        send_all(
            [
                (who, Call(ledger, functions[name].encode(arguments), GAS_LIMIT, value))
                for who, name, arguments, value in orders
            ]
        )

    def read(self, ledger: Address, name: str, *arguments: object) -> bytes:
        """Ask a ledger for one word."""
        return self.node.call(ledger, ledger_abi().functions[name].encode(arguments))

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take back what the context does."""
        snapshot = self.node.request("evm_snapshot")
        yield
        assert self.node.request("evm_revert", snapshot) is True


class LyingRound:
    """Round 1 of a new ledger: everything that is posted of it is wrong."""

    def __init__(self, world: World, submissions: int) -> None:
        """Run it until it is posted."""
        self.world, self.people = world, world.participants[:submissions]
        self.base, self.total, self.model = (world.chunk() for _ in range(3))
        self.first_sum = world.chunk() if submissions > FAN_IN else self.total
        self.group = [world.chunk() for _ in range(min(FAN_IN, submissions))]
        self.ledger = world.deploy(self.base.root, submissions)
        self._submit()
        digest = world.read(self.ledger, "digestOf", ROUND)
        self.listed = [Digest(world.draw.randbytes(32)) for _ in range(sum(level_sizes(submissions)))]
        self.listed[0], self.listed[-1] = self.first_sum.root, self.total.root
        arguments = (ROUND, digest, [], self.listed, bytes(32), bytes(32), self.model.root)
        world.send(self.ledger, world.bank, "post", *arguments)

    def _submit(self) -> None:
        draw, run = self.world.draw, RunId(self.world.node.chain_id, self.ledger)
        roots = [one.root for one in self.group]
        roots += [Digest(draw.randbytes(32)) for _ in self.people[len(roots) :]]
        self.openings = [
            (root, draw.randbytes(32), 1, one.address) for root, one in zip(roots, self.people, strict=True)
        ]
        orders = []
        for who, (root, salt, weight, address) in zip(self.people, self.openings, strict=True):
            sealed = sealed_root(root, salt, run, ROUND, address)
            orders.append((who, "submit", (ROUND, self.base.root, sealed, weight), 0))
        # The first group in order; a node may mine what is sent together in any order.
        for order in orders[:FAN_IN]:
            self.world.send_each(self.ledger, [order])
        self.world.send_each(self.ledger, orders[FAN_IN:])

    # ------------------------------------------------------------------ what is wrong with it

    def sum_proof(self) -> tuple[object, ...]:
        """Of the first group's sum."""
        chunks = b"".join(one.content for one in self.group)
        paths = [sibling for one in self.group for sibling in one.path]
        wrong = self.first_sum
        opened = self.openings[: len(self.group)]
        return (0, CHUNK, wrong.hash, wrong.path, self.listed, opened, chunks, paths)

    def range_proof(self) -> tuple[object, ...]:
        """Of a lane of the first update."""
        content = self.group[0].content
        lanes = [int.from_bytes(content[i : i + 4], signed=True) for i in range(0, CHUNK_BYTES, 4)]
        lane = next(i for i, value in enumerate(lanes) if abs(value) > 100)
        return (0, self.openings[0], CHUNK, lane, content, self.group[0].path)

    def apply_proof(self) -> tuple[object, ...]:
        """Of the model."""
        base, total, model = self.base, self.total, self.model
        return (
            *(CHUNK, self.listed, base.content, base.path, total.content, total.path),
            *(model.hash, model.path),
        )

    def challenge(self, name: str, proof: tuple[object, ...]) -> int:
        """Send a challenge, take it back, and return what it cost."""
        with self.world.undone():
            return self.world.send(self.ledger, self.world.participants[-1], name, ROUND, proof)


def fall_together(world: World) -> dict[str, int]:
    """As many rounds of two as may be unfinal: the first one's submitters object, and all of them fall."""
    gas: dict[str, int] = {}
    first, second = world.participants[:2]
    base, model = world.chunk().root, world.chunk().root
    ledger = world.deploy(base, 2, maxUnfinalRounds=UNFINAL_ROUNDS, challengeSeconds=10**6)
    sealed = world.draw.randbytes(32)
    for number in range(1, UNFINAL_ROUNDS + 1):
        from_root = base if number == 1 else model
        world.send(ledger, first, "submit", number, from_root, sealed, 1)
        world.send(ledger, second, "submit", number, from_root, sealed, 1)
        digest = world.read(ledger, "digestOf", number)
        arguments = (number, digest, [], [world.draw.randbytes(32)], bytes(32), bytes(32), model)
        world.send(ledger, world.bank, "post", *arguments)
    for index, name in enumerate(("object", f"object_voiding_{UNFINAL_ROUNDS - 1}")):
        who = world.participants[index]
        gas[name] = world.send(ledger, who, "object", ROUND, model, index, 1, sealed)
    return gas


def measure_challenges() -> dict[str, int]:
    """Return the gas of each challenge at a million lanes, and of objections, by name.

    A number is that of submissions, or of later rounds that fall too.
    """
    gas: dict[str, int] = {}
    with running_anvil(arguments=["--hardfork", HARDFORK]) as anvil:
        node = connect([anvil.url])
        world = World(node)
        gas |= fall_together(world)
        for submissions in (FAN_IN, 64, MOST):
            lie = LyingRound(world, submissions)
            gas[f"challengeSum_{submissions}"] = lie.challenge("challengeSum", lie.sum_proof())
            if submissions == FAN_IN:
                gas["challengeRange"] = lie.challenge("challengeRange", lie.range_proof())
                gas["challengeApply"] = lie.challenge("challengeApply", lie.apply_proof())
        gas[f"challengeApply_{MOST}"] = lie.challenge("challengeApply", lie.apply_proof())
        node.close()
    return gas
