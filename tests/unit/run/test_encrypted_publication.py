"""Ciphertexts on a ledger and in a store, as updates are: submitted, published, added twice, opened."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fl_chain.aggregation.round import aggregate_round
from fl_chain.commitment.canonical import canonical_json, parse_canonical_json
from fl_chain.commitment.chunks import Lanes, lane_bytes, lanes_from_native
from fl_chain.commitment.seals import leaf, round_digest
from fl_chain.commitment.tree import vector_root
from fl_chain.encryption.ciphertexts import ciphertext_lanes
from fl_chain.encryption.keys import SecretKey, new_secret_key
from fl_chain.encryption.lanes import encrypt
from fl_chain.encryption.rounds import EncryptedRound
from fl_chain.errors import (
    BlobMissing,
    MalformedBlob,
    StateUnwritable,
    UnverifiedPosting,
    VerificationError,
)
from fl_chain.ledger.events import UpdateSubmitted
from fl_chain.ledger.memory import MemoryLedger, Message, NativeCoin
from fl_chain.records import Address, RoundStatus, RunId, Submission, address
from fl_chain.run.encrypted import OpenedSums, read_round
from fl_chain.run.updates import PreparedUpdate, sealed_update
from fl_chain.store import Store

sys.path.append(str(Path(__file__).parents[1] / "ledger"))
from deployed_runs import DEFINITION, POLICY

DIMENSION = DEFINITION.dimension
OPERATOR, AGGREGATOR = (address(bytes([number]) * 20) for number in (1, 2))
WORKERS = [address(bytes([number]) * 20) for number in (3, 4, 5, 6)]
RUN = RunId(1, Address("0x" + "22" * 20))


@dataclass(frozen=True)
class Published:
    ledger: MemoryLedger
    submissions: tuple[Submission, ...]
    plain: tuple[Lanes, ...]
    folder: Path

    @property
    def store(self) -> Store:
        return Store([str(self.folder)])

    def round(self, excluded: frozenset[int] = frozenset()) -> EncryptedRound:
        quantisation = self.ledger.policy().quantisation
        return read_round(
            self.store,
            RUN,
            self.submissions,
            dimension=DIMENSION,
            quantisation=quantisation,
            excluded=excluded,
        )


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return new_secret_key()


def publish(folder: Path, submission: Submission, made: PreparedUpdate) -> None:
    who, root = submission.participant, submission.sealed_root
    Store([str(folder)]).write_update(who, root, made.opening, made.lanes, run=RUN, round=submission.round)


@pytest.fixture
def published(key: SecretKey, tmp_path: Path) -> Published:
    policy = replace(POLICY, quorum=3, bond_wei=0, deposit_wei=0, reward_wei=0, aggregator_reward_wei=0)
    policy = replace(policy, challenge_reward_wei=0)
    ledger = MemoryLedger(
        RUN, Message(OPERATOR, 1), DEFINITION, policy, aggregator=AGGREGATOR, coin=NativeCoin({})
    )
    for worker in WORKERS:
        ledger.admit(Message(OPERATOR, 1), worker, 10)
        ledger.register(Message(worker, 1), worker)
    ledger.open_round(Message(OPERATOR, 1))
    plain, openings = [], []
    for weight, worker in enumerate(WORKERS, start=1):
        bound = policy.clip_lanes * weight
        drawn = np.random.default_rng(weight).integers(-bound, bound + 1, DIMENSION)
        plain.append(lanes_from_native(drawn.astype(np.int32)))
        ciphertext, base = encrypt(plain[-1], key.public), DEFINITION.genesis_model_root
        secret, root = b"s" * 15 + bytes([weight]), vector_root(ciphertext)
        made = sealed_update(ciphertext, root, weight, 1, base, secret, run=RUN, identity=worker)
        openings.append(made)
        ledger.submit(
            Message(worker, 1), round=1, base_model_root=base, sealed_root=made.sealed_root, weight=weight
        )
    assert ledger.round(1).status is RoundStatus.CLOSED
    submissions = tuple(
        Submission(
            one.round,
            one.index,
            one.participant,
            one.weight,
            one.sealed_root,
            leaf(one.sealed_root, one.weight, one.participant),
        )
        for one in ledger.events
        if isinstance(one, UpdateSubmitted)
    )
    folder = tmp_path / "store"
    for one in zip(submissions, openings, strict=True):
        publish(folder, *one)
    return Published(ledger, submissions, tuple(plain), folder)


def test_the_ledger_fixes_ciphertexts_and_their_sum_is_that_of_plain_mode(
    key: SecretKey, published: Published, tmp_path: Path
) -> None:
    leaves = [submission.leaf for submission in published.submissions]
    assert published.ledger.round(1).digest == round_digest(RUN, 1, DEFINITION.genesis_model_root, leaves)
    total = OpenedSums(tmp_path).open(published.round(), key)
    base = lanes_from_native(np.zeros(DIMENSION, dtype=np.int32))
    expected = aggregate_round(base, published.plain, 10, published.ledger.policy().quantisation)
    assert lane_bytes(total) == lane_bytes(expected.total)


def test_no_lane_of_an_update_lies_in_the_store(published: Published) -> None:
    content = b"".join(path.read_bytes() for path in published.folder.rglob("*") if path.is_file())
    assert len(content) >= 4 * 4 * ciphertext_lanes(DIMENSION)
    for lanes in published.plain:
        assert bytes(lane_bytes(lanes[:2])) not in content


def test_a_ciphertext_that_is_altered_or_gone_is_not_added(published: Published) -> None:
    name = published.submissions[2].sealed_root.hex()
    (path,) = (path for path in published.folder.rglob("*") if name in path.name)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(VerificationError):
        published.round()
    assert published.round(frozenset({2})).included == {0, 1, 3}
    path.unlink()
    with pytest.raises(BlobMissing):
        published.round()


def test_a_round_without_submissions_is_refused(published: Published) -> None:
    with pytest.raises(ValueError, match="at least one"):
        read_round(published.store, RUN, (), dimension=1, quantisation=published.ledger.policy().quantisation)


def test_one_sum_a_round_is_opened_whatever_is_started_again(
    key: SecretKey, published: Published, tmp_path: Path
) -> None:
    whole, fewer = published.round(), published.round(frozenset({0}))
    assert not (tmp_path / "opened-1.json").exists()
    first = OpenedSums(tmp_path).open(fewer, key)
    assert parse_canonical_json((tmp_path / "opened-1.json").read_bytes())["included"] == [1, 2, 3]
    again = OpenedSums(tmp_path).open(fewer, key)
    assert lane_bytes(first) == lane_bytes(again)
    with pytest.raises(UnverifiedPosting, match="other updates was opened before"):
        OpenedSums(tmp_path).open(whole, key)


def test_what_was_refused_is_not_taken_for_opened(
    key: SecretKey, published: Published, tmp_path: Path
) -> None:
    current = published.round(frozenset({0, 1}))
    with pytest.raises(UnverifiedPosting, match="fewer than 3"):
        OpenedSums(tmp_path).open(current, key)
    assert not (tmp_path / "opened-1.json").exists()


def record(included: object, total: bytes = bytes(32)) -> bytes:
    return canonical_json({"included": included, "total": "0x" + total.hex()})


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[]", b"[0,1,2,3]", b"[0,", b"\xff"),
        *(record(included) for included in ([], ["0"], ["true"], 0)),
        record([0, 1, 2, 3]).replace(b"0x", b"0y"),
        record([0, 1, 2, 3]).replace(b"total", b"sum"),
    ],
)
def test_a_damaged_record_opens_nothing(
    key: SecretKey, published: Published, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "opened-1.json").write_bytes(content)
    current = published.round()
    with pytest.raises(MalformedBlob):
        OpenedSums(tmp_path).open(current, key)
    (tmp_path / "opened-1.json").write_bytes(record([0, 1, 2, 3], current.added.root))
    OpenedSums(tmp_path).open(current, key)
    (tmp_path / "opened-1.json").write_bytes(record([0, 1, 2, 3]))
    with pytest.raises(UnverifiedPosting, match="other ciphertexts"):  # the chain has another round 1 now
        OpenedSums(tmp_path).open(current, key)


def test_nothing_is_opened_where_it_cannot_be_written_down(
    key: SecretKey, published: Published, tmp_path: Path
) -> None:
    current = published.round()
    with pytest.raises(StateUnwritable):
        OpenedSums(tmp_path / "missing").open(current, key)
    (tmp_path / "opened-1.json").mkdir()
    with pytest.raises(StateUnwritable, match="cannot read"):
        OpenedSums(tmp_path).open(current, key)
