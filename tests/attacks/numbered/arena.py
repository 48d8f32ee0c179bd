"""Where attacks take place: a real contract on a chain of this process, real stores, and five participants.

A run is brought to a phase once; each attack gets a copy of its own, chain and stores, to break. Where
rules of the contract are switched off, the copy is one of a run on the instrumented contract (see
`contract_switches`).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import switchable
from eth.vm.forks.spurious_dragon import computation as spurious_dragon
from eth_abi.abi import encode

from fl_chain.aggregation.quantise import model_lanes, model_values, quantise_update
from fl_chain.aggregation.round import Aggregate, aggregate_round
from fl_chain.aggregator import Aggregator, AggregatorParts
from fl_chain.audit import AuditReport, audit_run
from fl_chain.commitment.canonical import canonical_json, document_hash
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.config import (
    EncryptionSettings,
    MaskingSettings,
    NumericColumn,
    PolicySettings,
    Protection,
    RunSettings,
    TableTaskSettings,
)
from fl_chain.ledger.abi import ledger_abi, masked_ledger_abi, masks_abi
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.code import Contracts, _named_verifier, created_address, verifier_address
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.devnet import methods
from fl_chain.ledger.devnet.chain import Chain, _opened, open_chain
from fl_chain.ledger.devnet.database import open_database
from fl_chain.ledger.devnet.evm import chain_class
from fl_chain.ledger.devnet.execution import Call, Reverted
from fl_chain.ledger.devnet.keys import dev_keys
from fl_chain.ledger.expected_storage import ExpectedWord, Subject, expected_storage
from fl_chain.ledger.history import History
from fl_chain.ledger.keys import address_of
from fl_chain.ledger.node import Node, embedded
from fl_chain.ledger.storage_layout import StorageLayout
from fl_chain.policy import RunPolicy, policy_document, run_policy
from fl_chain.records import (
    ZERO_ADDRESS,
    Address,
    Digest,
    Exclusion,
    Opening,
    RoundStatus,
    RunDefinition,
    RunId,
)
from fl_chain.run.outbox import Outbox
from fl_chain.run.transactions import TransactionOutbox
from fl_chain.run.watcher import Signer, Watch
from fl_chain.store import Store
from fl_chain.worker import Worker, WorkerParts

START_S = 1_800_000_000
COUNT = 5  # participants
CAP = 1000  # of a participant's weight
WEIGHT = 100  # what an honest one declares
DIMENSION = 1030  # two chunks, the second almost all padding
SUBMISSION_S, PUBLICATION_S, POSTING_S, TAKEOVER_S, CHALLENGE_S, UNBONDING_S = 100, 20, 50, 200, 40, 60
POOL_WEI = 10**18
DEPLOYMENT_GAS = 25_000_000

PHASES = ("registered", "open", "waiting", "closed", "published", "posted", "final")
MASKED_PHASES = ("registered", "masked", "unmasked")  # of a run with `MASKED`: published, and posted
MASKED: dict[str, object] = {"privacy": MaskingSettings(kind="secagg")}
ENCRYPTED_PHASES = ("registered", "open", "encrypted", "opened")  # ciphertexts published, and their sum
MEMBERS = tuple(address_of(key) for key in dev_keys(COUNT))
ENCRYPTED: dict[str, object] = {"privacy": EncryptionSettings(kind="he", members=MEMBERS)}
OPERATOR, AGGREGATOR, SECOND, STRANGER, ACCOMPLICE = range(COUNT, COUNT + 5)  # places of their keys


@dataclass
class Clock:
    """Wall time that stands still until it is moved."""

    now: float = float(START_S)

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Trained:
    """What the learner below returns."""

    values: np.ndarray
    n_examples: int = WEIGHT
    loss: float = 0.0
    kept: None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """A learner: moves the model into a direction of its round, and somewhat into one of its own."""

    number: int

    def train(self, base: np.ndarray, *, round_id: int, work: object = None) -> Trained:
        common = np.random.default_rng([7, round_id]).normal(size=base.size)
        own = np.random.default_rng([8, round_id, self.number]).normal(size=base.size)
        return Trained((base + 0.01 * (common + 0.7 * own)).astype(np.float32))


def settings(**changes: object) -> PolicySettings:
    """Return the rules of a run."""
    rules = PolicySettings(
        rounds=9,
        quorum=3,
        max_total_weight=10_000,
        submission_s=SUBMISSION_S,
        publication_s=PUBLICATION_S,
        posting_s=POSTING_S,
        takeover_s=TAKEOVER_S,
        challenge_s=CHALLENGE_S,
        unbonding_s=UNBONDING_S,
    )
    return rules.model_copy(update=changes)


def findings_of(report: AuditReport) -> list[str]:
    """Return the kinds of everything that an audit finds wrong."""
    return [finding.kind.value for finding in report.findings]


def warnings_of(report: AuditReport) -> list[str]:
    """Return the kinds of everything that an audit warns of."""
    return [warning.kind.value for warning in report.warnings]


def noticed(report: AuditReport) -> tuple[str, ...]:
    """Return the kinds of everything that an audit says, each once and in its order."""
    return tuple(dict.fromkeys((*findings_of(report), *warnings_of(report))))


@dataclass
class Arena:
    """A run, and hands for everybody in it."""

    folder: Path
    chain: Chain
    clock: Clock
    policy: RunPolicy
    definition: RunDefinition
    address: Address
    deployed_block: int
    is_switchable: bool
    rules_off: int = 0  # switches of the instrumented contract
    resources: ExitStack = field(default_factory=ExitStack, repr=False)

    def __post_init__(self) -> None:
        self.node: Node = embedded(self.chain)
        self.store = Store([str(self.folder / "store")])
        self.accounts = [Account(self.node, key) for key in dev_keys(COUNT + 5)]
        self.ledger = self.opened()
        self.operator, self.aggregator = self.accounts[OPERATOR], self.accounts[AGGREGATOR]
        self.second, self.stranger = self.accounts[SECOND], self.accounts[STRANGER]
        self.accomplice = self.accounts[ACCOMPLICE]
        self._bases: dict[int, tuple[int, Digest]] = {}

    # ------------------------------------------------------------------ reading

    def opened(self, node: Node | None = None) -> Ledger:
        """Open the ledger anew, as a process of its own does."""
        node = node or self.node
        if self.is_switchable:  # no process would open it: it is not the shipped contract
            run = RunId(node.chain_id, self.address)
            contracts = self._masked_contracts() if self.policy.is_masked else None
            return Ledger(node, run, confirmations=0, deployed_block=self.deployed_block, contracts=contracts)
        return Ledger.open(node, self.address, deployed_block=self.deployed_block)

    def _masked_contracts(self) -> Contracts:
        names = ("MaskedLedger", "SecureAggregation", "MaskChallenges")
        ledger, masks, challenges = (switchable.artifact(one) for one in names)
        return Contracts(ledger, masks, _named_verifier(self.node, self.address), challenges)

    @property
    def history(self) -> History:
        """The ledger's history up to now."""
        return self.ledger.sync()

    @property
    def latest(self) -> int:
        """The newest round."""
        return self.ledger.state().latest

    def who(self, number: int) -> Address:
        """Return a participant's identity."""
        return self.accounts[number].address

    def audit(self, store: Store | None = None, **options: Any) -> AuditReport:
        """Audit the run as somebody else would."""
        return audit_run(self.opened(), store or self.store, **options)

    def model(self, round_id: int) -> Lanes:
        """Return the model that a round made."""
        return self.store.read_model(self.ledger.model_root(round_id), DIMENSION)

    def base_of(self, round_id: int) -> int:
        """Return the round whose model a round starts from."""
        return self._base(round_id)[0]

    def _base(self, round_id: int) -> tuple[int, Digest]:
        """Return the round that a round is built on, and its model's root; neither ever changes."""
        if round_id not in self._bases:
            base = self.ledger.round(round_id).base_round
            self._bases[round_id] = base, self.ledger.model_root(base)
        return self._bases[round_id]

    # ------------------------------------------------------------------ time

    def wait(self, seconds: float) -> None:
        """Let chain time pass."""
        self.clock.now += seconds
        self.chain.catch_up()

    # ------------------------------------------------------------------ participants

    def lanes(self, number: int, round_id: int, *, weight: int = WEIGHT, scale: float = 1.0) -> Lanes:
        """Return the honest update of a participant; ``scale`` stretches it."""
        quantisation = self.policy.ledger.quantisation
        base_lanes = self.store.read_model(self._base(round_id)[1], DIMENSION)
        base = model_values(base_lanes, quantisation.fraction_bits)
        trained = Drift(number).train(base, round_id=round_id).values
        stretched = (base + scale * (trained - base)).astype(np.float32)
        return quantise_update(stretched, base, weight, quantisation)

    def opening(self, number: int, round_id: int, lanes: Lanes) -> Opening:
        """Return what opens a participant's commitment."""
        return Opening(vector_root(lanes), hashlib.sha256(f"salt {number} {round_id}".encode()).digest())

    def seal(self, number: int, round_id: int, lanes: Lanes) -> Digest:
        """Return a participant's commitment to an update."""
        opening = self.opening(number, round_id, lanes)
        return sealed_root(opening.vector_root, opening.salt, self.ledger.run, round_id, self.who(number))

    def submit(
        self,
        number: int,
        round_id: int = 1,
        *,
        lanes: Lanes | None = None,
        seal: Digest | None = None,
        weight: int = WEIGHT,
        base: Digest | None = None,
    ) -> Receipt:
        """Submit for an account, honestly by default."""
        if seal is None:
            seal = self.seal(number, round_id, self.lanes(number, round_id) if lanes is None else lanes)
        root = self._base(round_id)[1] if base is None else base
        return self.ledger.submit(
            self.accounts[number], round=round_id, base_model_root=root, sealed_root=seal, weight=weight
        )

    def publish(self, number: int, round_id: int = 1, *, lanes: Lanes | None = None) -> None:
        """Publish a participant's update, the honest one by default."""
        lanes = self.lanes(number, round_id) if lanes is None else lanes
        opening, seal = self.opening(number, round_id, lanes), self.seal(number, round_id, lanes)
        self.store.write_update(self.who(number), seal, opening, lanes, run=self.ledger.run, round=round_id)

    def update_file(self, number: int, round_id: int = 1) -> Path:
        """Return the file of a participant's published update."""
        submission = self.submission(number, round_id)
        return self.folder / "store" / "updates" / self.who(number) / f"0x{submission.sealed_root.hex()}"

    def submission(self, number: int, round_id: int = 1) -> Any:
        """Return a participant's submission to a round."""
        who = self.who(number)
        return next(one for one in self.history.submissions[round_id] if one.participant == who)

    def play_round(self, round_id: int, *, without: Sequence[int] = ()) -> None:
        """Let everybody submit and publish; a round that waits for somebody is closed at its deadline."""
        for number in range(COUNT):
            if number not in without:
                self.submit(number, round_id)
        if without and self.ledger.round(round_id).status is RoundStatus.OPEN:
            self.wait(SUBMISSION_S)
            self.ledger.close_round(self.stranger, round_id)
        for number in range(COUNT):
            if number not in without:
                self.publish(number, round_id)

    def worker(self, number: int, *, store: Store | None = None, learner: Any = None) -> Worker:
        """Start a participant's worker."""
        return Worker(
            WorkerParts(
                ledger=self.opened(),
                account=self.accounts[number],
                store=store or self.store,
                learner=learner or Drift(number),
                policy=self.policy,
                outbox=Outbox(self.folder / f"worker-{number}"),
                payout=self.who(number),
            )
        )

    def play_masked_round(self) -> None:
        """Let everybody's worker work until all have published the first round's masked update."""
        self.ledger.open_round(self.stranger)
        workers = [self.worker(number) for number in range(COUNT)]
        aggregator = self.honest_aggregator()
        for _ in range(40):
            moved = [one.step() for one in workers]
            status = self.ledger.round(1).status
            if status is RoundStatus.CLOSED and not any(moved):
                return
            if status is RoundStatus.OPEN and not aggregator.step() and not any(moved):
                self.wait(5)
        raise AssertionError("the masked round never closed")

    def play_hidden(self, phase: str) -> None:
        """Bring a masked or encrypted run from the phase before to a phase."""
        match phase:
            case "encrypted":
                self.play_encrypted_round(is_opened=False)
            case "opened":
                self.open_sums()
            case "masked":
                self.play_masked_round()
            case "unmasked":
                self.unmask()

    def play_encrypted_round(
        self, odd: Mapping[int, Worker] | None = None, *, is_opened: bool = True
    ) -> None:
        """Let everybody's worker work until the first round's ciphertexts are published, or the round posted.

        Args:
            odd: workers to take instead of honest ones, by number.
            is_opened: whether sums are opened, and the aggregator posts.
        """
        workers = {number: self.worker(number) for number in range(COUNT)} | dict(odd or {})
        aggregator = self.honest_aggregator()
        for _ in range(40):
            status = self.ledger.round(1).status
            if status is RoundStatus.POSTED:
                return
            if status is RoundStatus.CLOSED and not is_opened:
                for number, one in workers.items():
                    one._publication.step(self.history, [self.submission(number)])
                return
            moved = [one.step() for one in workers.values()]
            if not any(moved) and not aggregator.step():
                self.wait(5)
        raise AssertionError("the encrypted round was never closed, or never posted")

    def open_sums(self) -> None:
        """Let everybody's worker open the first round's sum."""
        workers = [self.worker(number) for number in range(COUNT)]
        for _ in range(3):
            for one in workers:
                one.step()
            self.wait(3)

    # ------------------------------------------------------------------ aggregators

    def updates(self, round_id: int) -> list[Lanes]:
        """Return what a round's submissions have published, in the ledger's order."""
        return [
            self.store.read_update(
                one.participant, one.sealed_root, DIMENSION, run=self.ledger.run, round=round_id
            ).lanes[:DIMENSION]
            for one in self.history.submissions[round_id]
        ]

    def aggregate(
        self, round_id: int = 1, *, updates: Sequence[Lanes | None] | None = None, weight: int | None = None
    ) -> Aggregate:
        """Return what follows from updates; by default the honest aggregate."""
        chosen = self.updates(round_id) if updates is None else updates
        if weight is None:
            weight = sum(one.weight for one in self.history.submissions[round_id])
        base = self.store.read_model(self._base(round_id)[1], DIMENSION)
        return aggregate_round(base, chosen, weight, self.policy.ledger.quantisation)

    def show(self, aggregate: Aggregate) -> None:
        """Publish sums and model."""
        for root, hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
            self.store.write_sum(root, hashes)
        self.store.write_model(aggregate.model_root, aggregate.model)

    def unmask(self) -> None:
        """Let everybody's worker release shares, and the aggregator post."""
        workers, aggregator = [self.worker(number) for number in range(COUNT)], self.honest_aggregator()
        for _ in range(40):
            if self.ledger.round(1).status is RoundStatus.POSTED:
                return
            for one in workers:
                one.step()
            if not aggregator.step():
                self.wait(5)
        raise AssertionError("the masked round was never posted")

    def post(
        self,
        aggregate: Aggregate | None = None,
        round_id: int = 1,
        *,
        account: Account | None = None,
        exclusions: Sequence[Exclusion] = (),
        digest: Digest | None = None,
        roots: Sequence[Digest] | None = None,
        is_shown: bool = True,
        with_bond: bool = True,
    ) -> Receipt:
        """Post an aggregate, the honest one by default."""
        aggregate = aggregate or self.aggregate(round_id)
        account = account or self.aggregator
        if is_shown:
            self.show(aggregate)
        bond_wei = self.policy.ledger.bond_wei
        if with_bond and self.ledger.account(account.address).free_bond_wei < bond_wei:
            self.ledger.deposit_bond(account, bond_wei)
        submissions = self.history.submissions[round_id]
        return self.ledger.post(
            account,
            round=round_id,
            digest=digest or self.ledger.round(round_id).digest,
            exclusions=[(one, submissions[one.index]) for one in exclusions],
            partial_sum_roots=aggregate.partial_sum_roots if roots is None else roots,
            model_root=aggregate.model_root,
            result_root=aggregate.result_root,
        )

    def honest_aggregator(self, account: Account | None = None) -> Aggregator:
        """Start an aggregator."""
        account = account or self.aggregator
        return Aggregator(
            AggregatorParts(self.opened(), account, self.store, self.folder / f"aggregator-{account.address}")
        )

    def aggregated(self, round_id: int = 1) -> History:
        """Let an honest aggregator work until the round is posted or void."""
        aggregator = self.honest_aggregator()
        for _ in range(60):
            if self.ledger.round(round_id).status is not RoundStatus.CLOSED:
                break
            if not aggregator.step():
                self.wait(PUBLICATION_S)
        return self.history

    # ------------------------------------------------------------------ watchers

    def watched(self, round_id: int = 1, watchers: Sequence[int] = (0, 1, 2)) -> str | None:
        """Let participants watch over a posting; return why it fell, None where it stands."""
        number = self.ledger.round(round_id).posting_number
        watches = [self.watch(self.accounts[one]) for one in watchers]
        for waited_s in (0, 17, 15):  # for those that wait for others, and for blobs that may still come
            self.wait(waited_s)
            for watch in watches:
                watch.step()
            if self.ledger.round(round_id).posting_number != number:
                break
        if self.ledger.round(round_id).posting_number == number:
            return None
        return next(one for one in self.history.fallen if one.posting.round == round_id).reason.name.lower()

    def watch(self, account: Account) -> Watch:
        """Start a watcher."""
        folder = self.folder / f"watch-{account.address}"
        return Watch(self.opened(), self.store, Signer(account, TransactionOutbox(folder, account)))

    def finalise(self) -> None:
        """Let the challenge window pass, and settle."""
        self.wait(CHALLENGE_S)
        self.ledger.finalize(self.stranger)

    # ------------------------------------------------------------------ contracts of an attacker

    def hostile(self, contract: str, account: Account | None = None) -> Address:
        """Deploy a hostile contract."""
        receipt = (account or self.stranger).send(None, switchable.creation_code(contract), gas=3_000_000)
        assert receipt.contract is not None
        return receipt.contract

    def call(self, to: Address, signature: str, *values: Any, value_wei: int = 0) -> Receipt:
        """Call a function of a hostile contract, by a signature such as ``refuse()``."""
        return self.stranger.send(to, encoded(signature, *values), gas=3_000_000, value_wei=value_wei)


def encoded(signature: str, *values: Any) -> bytes:
    """Return a call's data."""
    from eth_hash.auto import keccak

    types = signature.partition("(")[2].rstrip(")")
    return keccak(signature.encode())[:4] + encode(types.split(",") if types else [], values)


def ledger_call(name: str, *values: Any) -> bytes:
    """Return the data of a call of the ledger."""
    return ledger_abi().functions[name].encode(values)


# ---------------------------------------------------------------------- the instrumented contract


@contextmanager
def shipped_instead(rules_off: int) -> Iterator[None]:
    """Let proofs of the state expect the instrumented contracts, as if the release had shipped them.

    What a proof finds is then about what happened to a run, not about the instrument.
    """
    ledger, verifier = (switchable.artifact(one) for one in ("TrainingLedger", "ChallengeVerifier"))
    layout = StorageLayout(ledger.storage_layout)
    switches = layout.words("rulesOff", value=rules_off)

    def with_switches(history: History) -> dict[int, ExpectedWord]:
        own = {slot: ExpectedWord(word, Subject("switches")) for slot, word in switches.items()}
        return {**expected_storage(history), **own}

    def instrumented(where: Address) -> Contracts:
        return Contracts(ledger, verifier, verifier_address(where))

    with (
        patch("fl_chain.ledger.client.plain_contracts", instrumented),
        patch("fl_chain.ledger.expected_storage.ledger_layout", lambda: layout),
        patch("fl_chain.audit.state_proofs.expected_storage", with_switches),
    ):
        yield


# ---------------------------------------------------------------------- what calls return


def remembering(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a way to run a call that runs none twice.

    What a call returns follows from the block in whose context it runs, whose hash covers the whole state,
    and from the call. Trials of one attack with more and more rules off make the same blocks again.
    """
    known: dict[tuple[bytes, Call], tuple[Any, Reverted | None]] = {}

    def remembered(chain: Chain, header: Any, request: Call) -> Any:
        key = (header.hash, request)
        if key not in known:
            try:
                known[key] = run(chain, header, request), None
            except Reverted as error:
                known[key] = None, error
        output, error = known[key]
        if error is not None:
            raise Reverted(str(error), error.data)
        return output

    return remembered


_CALLS = {name: remembering(getattr(methods, name)) for name in ("call", "estimate_gas")}


@contextmanager
def calls_remembered() -> Iterator[None]:
    """Let the chains of this process run no call twice that they have run in the same state before."""
    with patch.multiple(methods, **_CALLS):
        yield


# ---------------------------------------------------------------------- runs brought to a phase


@cache
def _template(phase: str, is_switchable: bool, rules: tuple[tuple[str, object], ...], token: str) -> Arena:
    folder = Path(_folder())
    if phase == "registered":
        changes = dict(rules)
        privacy = cast(Protection | None, changes.pop("privacy", None))
        return _registered(folder, is_switchable, settings(**changes), token, privacy)
    phases = next(one for one in (PHASES, MASKED_PHASES, ENCRYPTED_PHASES) if phase in one)
    before = phases[phases.index(phase) - 1]
    arena = _copied(_template(before, is_switchable, rules, token), folder)
    match phase:
        case "open":
            arena.ledger.open_round(arena.stranger)
        case "waiting":
            for number in range(COUNT - 1):
                arena.submit(number)
        case "closed":
            arena.submit(COUNT - 1)
        case "published":
            for number in range(COUNT):
                arena.publish(number)
        case "posted":
            arena.post()
        case "final":
            arena.finalise()
        case _:
            arena.play_hidden(phase)
    return arena


_FOLDERS = ExitStack()


def _folder() -> str:
    """Return a new folder that is removed when `close_templates` is called."""
    return _FOLDERS.enter_context(tempfile.TemporaryDirectory(prefix="fl-chain-attacks-"))


def close_templates() -> None:
    """Let go of every run that was kept."""
    _template.cache_clear()
    _FOLDERS.close()


def _registered(
    folder: Path,
    is_switchable: bool,
    rules: PolicySettings,
    token: str,
    privacy: Protection | None,
) -> Arena:
    price = NumericColumn(name="price", mean=10.0, std=2.5)
    task = TableTaskSettings(label="bought", positive="1", numeric=(price,))
    policy = run_policy(RunSettings(task=task, policy=rules, privacy=privacy))
    manifest = canonical_json([{"dtype": "float32", "name": "weight", "shape": [DIMENSION]}])
    genesis = model_lanes(np.zeros(DIMENSION, dtype=np.float32), policy.ledger.fraction_bits)
    document = policy_document(policy)
    store = Store([str(folder / "store")])
    store.write_document(document)
    store.write_document(manifest)
    store.write_model(vector_root(genesis), genesis)
    definition = RunDefinition(
        document_hash(document), document_hash(manifest), vector_root(genesis), DIMENSION
    )
    clock = Clock()
    chain = open_chain(None, clock=clock, accounts=COUNT + 5)
    accounts = [Account(embedded(chain), key) for key in dev_keys(COUNT + 5)]
    operator, aggregator = accounts[OPERATOR], accounts[AGGREGATOR].address
    coin = ZERO_ADDRESS
    if token:
        receipt = operator.send(None, switchable.creation_code(token), gas=3_000_000)
        assert receipt.contract is not None
        coin = receipt.contract
        for account in accounts:
            data = encoded("mint(address,uint256)", account.address, 10**21)
            operator.send(coin, data, gas=200_000)
    if is_switchable:
        receipt = deploy_switchable(operator, definition, policy, aggregator, token=coin)
        place = (receipt.contract or ZERO_ADDRESS, receipt.block_number)
    else:
        made = deploy(operator.node, operator, definition, policy.ledger, aggregator=aggregator, token=coin)
        place = (made.address, made.block_number)
    arena = Arena(folder, chain, clock, policy, definition, *place, is_switchable)
    arena.ledger.fund(arena.operator, POOL_WEI)
    for number in range(COUNT):
        cap = min(CAP, policy.ledger.max_total_weight, policy.ledger.highest_weight_cap)
        arena.ledger.admit(arena.operator, arena.who(number), cap)
        arena.ledger.register(arena.accounts[number], arena.who(number))
    return arena


def deploy_switchable(
    operator: Account,
    definition: RunDefinition,
    policy: RunPolicy,
    aggregator: Address,
    *,
    token: Address = ZERO_ADDRESS,
    rules_off: int = 0,
) -> Receipt:
    """Deploy the instrumented contract, which is over the size limit of code."""
    values = (astuple(definition), astuple(policy.ledger), aggregator, token)
    switches = rules_off.to_bytes(32, "big")
    with patch.object(spurious_dragon, "EIP170_CODE_SIZE_LIMIT", 2**17):
        if not policy.is_masked:
            code = switchable.creation_code("TrainingLedger")
            arguments = encode(ledger_abi().constructor, values)
            return operator.send(None, code + arguments + switches, gas=DEPLOYMENT_GAS)
        place = created_address(operator.address, operator.node.nonce(operator.address, "pending") + 1)
        code = switchable.creation_code("SecureAggregation") + encode(masks_abi().constructor, (place, 0))
        masks = operator.send(None, code, gas=DEPLOYMENT_GAS).contract
        code = switchable.creation_code("MaskedLedger")
        arguments = encode(masked_ledger_abi().constructor, (*values, masks))
        return operator.send(None, code + arguments + switches, gas=DEPLOYMENT_GAS)


def _copied(template: Arena, folder: Path) -> Arena:
    shutil.copytree(template.folder, folder, dirs_exist_ok=True)
    clock = Clock(template.clock.now)
    chain = forked(template.chain, clock)
    return replace(template, folder=folder, chain=chain, clock=clock, resources=ExitStack())


def forked(chain: Chain, clock: Callable[[], float]) -> Chain:
    """Return a chain that has all the blocks of another one, and goes its own way from there."""
    database = open_database(None)
    chain._database._connection.backup(database._connection)
    return _opened(chain_class(chain.chain_id), database, clock, None, read_only=False)


def arena_at(
    phase: str,
    folder: Path,
    *,
    rules_off: int = 0,
    is_switchable: bool = False,
    rules: dict[str, object] | None = None,
    token: str = "",
) -> Arena:
    """Return a run of one's own, brought to a phase.

    Args:
        phase: one of `PHASES`.
        folder: an empty one, for stores and actors' state.
        rules_off: switches of the instrumented contract; see `contract_switches.mask`.
        is_switchable: take the instrumented contract, whatever is off.
        rules: changes to the run's policy; ``privacy`` is what stands beside it, in ``[run.privacy]``.
        token: a hostile token that amounts are in.
    """
    is_switchable = is_switchable or rules_off != 0
    changes = tuple(sorted((rules or {}).items()))
    arena = _copied(_template(phase, is_switchable, changes, token), folder)
    if rules_off:
        arena.rules_off = rules_off
        data = encoded("switchOff(uint256)", rules_off)
        arena.stranger.send(arena.address, data, gas=100_000)
    return arena
