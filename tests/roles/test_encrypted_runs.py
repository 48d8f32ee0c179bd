"""One run whose updates only its members read: all well, lies about a sum, a spoilt one, a plain update."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from consortium import Consortium, policy

from fl_chain.aggregation.round import Aggregate, aggregate_round
from fl_chain.audit import AuditMemory, AuditReport, audit_run
from fl_chain.audit.encryption import EncryptionAudit
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.commitment.chunks import LANE, Lanes, lane_bytes, lanes_from_native
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.config import EncryptionSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.encryption.ciphertexts import ciphertext_lanes, residues, wire
from fl_chain.encryption.delivery import sealed_secret_key
from fl_chain.encryption.keys import new_secret_key
from fl_chain.encryption.lanes import encrypt
from fl_chain.errors import InputDataError, MalformedBlob, StateUnwritable, VerificationError
from fl_chain.ledger.account import Account
from fl_chain.ledger.keys import address_of
from fl_chain.masking.keys import public_key
from fl_chain.records import (
    Address,
    Digest,
    Exclusion,
    ExclusionReason,
    FallReason,
    Opening,
    Posting,
    RoundStatus,
    Submission,
    VoidReason,
)
from fl_chain.run.cohort_key import KEY_FILE, Keyring, read_cohort_key
from fl_chain.run.encrypted_blobs import (
    OpenedSum,
    SpoiltSum,
    cohort_key_blob,
    identity_blob,
    opening_blob,
    opening_bytes,
    parse_opening,
    sealed_key_blob,
    signed,
)
from fl_chain.run.encrypted_examination import examine_encrypted
from fl_chain.run.encrypted_rounds import EncryptedRounds
from fl_chain.run.outbox import Outbox
from fl_chain.run.protection import protection
from fl_chain.run.verdicts import Hidden, Outcome, Right, Unprovable
from fl_chain.store import Signed, Store

MEMBERS, OUTSIDER = OWNERS[:4], OWNERS[4]
MAKER, LIAR, SPOILER, PLAIN = MEMBERS
FIRST, LIES, SPOILT, OPEN, LAST = 1, 2, 5, 6, 7  # rounds; 3 and 4 were built on a lie


class EncryptedConsortium(Consortium):
    """A consortium of four members and one who does not hold the key."""

    def weight_cap(self) -> int:
        return 1

    @property
    def rounds(self) -> EncryptedRounds:
        cohort = self.run.policy.key_cohort
        assert cohort is not None
        return EncryptedRounds(self.history, self.store, cohort)

    def key_path(self, owner: str) -> Path:
        return self.folder / f"worker-{owner}" / "encryption" / KEY_FILE

    def join_without_key(self) -> None:
        """Register who is admitted and no member, and let it submit what it likes."""
        account, ledger = self.accounts[OUTSIDER], self.run.ledger
        ledger.register(account, account.address)

    def submit_without_key(self, round_id: int) -> None:
        base = self.history.base_model_roots[round_id]
        self.run.ledger.submit(
            self.accounts[OUTSIDER],
            round=round_id,
            base_model_root=base,
            sealed_root=Digest(b"\x01" * 32),
            weight=1,
        )

    def post(self, round_id: int, poster: Account, opened: Lanes, *, result: Digest | None = None) -> None:
        """Post a round by what somebody calls its sum."""
        rounds, ledger = self.rounds, self.run.ledger
        current = rounds.read(round_id)
        base = self.store.read_model(self.history.base_model_roots[round_id], opened.size)
        made = rounds.derived(current, base, current.added.root, opened, pool=None)
        self.store.write_model(made.model_root, made.model)
        ledger.deposit_bond(poster, self.policy.bond_wei)
        ledger.post(
            poster,
            round=round_id,
            digest=self.history.rounds[round_id].digest,
            exclusions=[],
            partial_sum_roots=(),
            model_root=made.model_root,
            result_root=result or made.result_root,
        )

    def deceive(self, owner: str, round_id: int, encrypt: Callable[[Lanes], Lanes]) -> None:
        """Let a member's worker make something else of its update of a round."""
        worker = self.workers[owner]

        def chosen(lanes: Lanes) -> Lanes:
            is_due = self.history.state.latest == round_id
            return encrypt(lanes) if is_due else worker._encrypted(lanes)

        worker._updates = worker._publication._updates = replace(worker._updates, encrypt=chosen)

    def submission(self, round_id: int, owner: str) -> Submission:
        return next(
            one for one in self.history.submissions[round_id] if one.participant == self.address(owner)
        )


def falsify(lanes: Lanes) -> Lanes:
    altered = lanes.copy()
    altered[0] += 1
    return altered


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedConsortium]:
    folder: Path = tmp_path_factory.mktemp("encrypted")
    keys = [Consortium.key(None, f"participant {owner}") for owner in MEMBERS]  # type: ignore[arg-type]
    privacy = EncryptionSettings(kind="he", members=tuple(map(address_of, keys)))
    run = EncryptedConsortium(folder, policy=policy(rounds=3), privacy=privacy)
    run.workers[OUTSIDER].step()  # does not register
    run.join_without_key()
    run.work_until(lambda history: FIRST in history.rounds, MEMBERS)
    run.submit_without_key(FIRST)
    run.work_until(lambda history: LIES in history.rounds, MEMBERS)
    run.run.ledger.leave(run.accounts[OUTSIDER])

    run.work_until(lambda history: history.rounds[LIES].status is RoundStatus.CLOSED, MEMBERS)
    while not all(
        run.store.has_update(one.participant, one.sealed_root) for one in run.history.submissions[LIES]
    ):
        run.work(MEMBERS, with_aggregator=False)
    lies = [run.aggregator_account, run.account("second")]
    updates = [run.plain_update(LIES, owner, weight=1) for owner in MEMBERS]
    total = lanes_from_native(sum(one.view(">i4").astype(np.int64) for one in updates).astype(np.int32))
    run.post(LIES, lies[0], falsify(total))
    run.work_until(lambda history: len(history.fallen) == 1, MEMBERS, with_aggregator=False)
    run.post(LIES, lies[1], total, result=Digest(b"\x02" * 32))
    run.work_until(lambda history: len(history.fallen) == 2, MEMBERS, with_aggregator=False)
    wrong = opening_bytes(OpenedSum(falsify(total)))
    blob = opening_blob(run.history, LIES, run.address(LIAR), run.rounds.read(LIES).added.root)
    run.store.write_signed(blob, signed(run.accounts[LIAR], run.history, blob, wrong))
    run.post(LIES, run.account("third"), total)

    beyond = 4 * run.history.policy.quantisation.clip_lanes + 1
    spoilt = lanes_from_native(np.full(run.history.definition.dimension, beyond, dtype=np.int32))
    run.deceive(SPOILER, SPOILT, lambda lanes: run.workers[SPOILER]._encrypted(spoilt))
    run.deceive(PLAIN, OPEN, lambda lanes: lanes)
    for round_id in (SPOILT, OPEN):
        run.work_until(
            lambda history, one=round_id: history.rounds[one].status is RoundStatus.VOID,
            MEMBERS,
            pause_s=40.0,
        )
    run.work_until(
        lambda history: LAST in history.rounds and history.rounds[LAST].status is RoundStatus.FINAL, MEMBERS
    )
    yield run
    run.chain.close()


@pytest.fixture(scope="module")
def report(run: EncryptedConsortium) -> AuditReport:
    return run.audit()


@pytest.fixture(scope="module")
def report_with_key(run: EncryptedConsortium) -> AuditReport:
    return audit_run(run.ledger(), run.store, key=read_cohort_key(run.key_path(MAKER)))


def of_round(report: AuditReport, round_id: int) -> list[tuple[Kind, Address | None]]:
    return [(one.kind, one.participant) for one in report.findings + report.warnings if one.round == round_id]


def test_everybody_holds_one_key_and_nobody_else_does(run: EncryptedConsortium) -> None:
    found = {read_cohort_key(run.key_path(owner)) for owner in MEMBERS}
    assert len(found) == 1
    assert None not in found
    assert not run.key_path(OUTSIDER).exists()
    (key,) = found
    assert key is not None
    everything = [path.read_bytes() for path in (run.folder / "store").rglob("*") if path.is_file()]
    assert sum(key.public.content in content for content in everything) == 1
    assert not any(key.content[28:92] in content for content in everything)
    assert not list((run.folder / f"aggregator-{run.aggregator_account.address}").rglob(KEY_FILE))


def test_the_model_is_that_of_the_plain_sum(run: EncryptedConsortium) -> None:
    history = run.history
    base = run.store.read_model(history.definition.genesis_model_root, history.definition.dimension)
    updates = [run.plain_update(FIRST, owner, weight=1) for owner in MEMBERS]
    plain = aggregate_round(base, updates, len(MEMBERS), history.policy.quantisation)
    assert history.postings[FIRST].model_root == plain.model_root


def test_who_does_not_hold_the_key_is_left_out_by_rule(run: EncryptedConsortium) -> None:
    (exclusion,) = run.history.postings[FIRST].exclusions
    assert exclusion.reason is ExclusionReason.BY_RULE
    assert run.history.submissions[FIRST][exclusion.index].participant == run.address(OUTSIDER)


def test_lies_about_a_sum_are_objected_to(run: EncryptedConsortium) -> None:
    assert [one.reason for one in run.history.fallen] == [FallReason.OBJECTIONS] * 2
    assert run.history.rounds[LIES].status is RoundStatus.FINAL


def test_a_round_that_is_spoilt_or_open_ends_without_a_model(run: EncryptedConsortium) -> None:
    for round_id in (SPOILT, OPEN):
        assert run.history.voids[round_id] is VoidReason.NOT_POSTED
        current = run.rounds.submissions(round_id)
        assert len(current) == len(MEMBERS)
    total = run.rounds.read(SPOILT).added.root
    openings = run.rounds.openings(SPOILT, total)
    assert openings.agreed == SpoiltSum((run.address(SPOILER),))
    assert openings.accused == (run.address(SPOILER),)
    assert openings.agreed_sum is None
    for owner in MEMBERS:
        folder = run.key_path(owner).parent
        chosen = [(folder / f"opened-{one}.json").exists() for one in (FIRST, SPOILT, OPEN)]
        assert chosen == [True, True, False]


def test_the_audit_says_what_is_so_with_and_without_the_key(
    run: EncryptedConsortium, report: AuditReport, report_with_key: AuditReport
) -> None:
    for found in (report, report_with_key):
        assert found.run["protection"] == protection(run.history, run.run.policy.key_cohort)
        assert [one.kind for one in found.findings] == [Kind.UPDATE_UNENCRYPTED]
        assert of_round(found, OPEN)[0] == (Kind.UPDATE_UNENCRYPTED, run.address(PLAIN))
        assert of_round(found, OPEN)[1:] == [(Kind.SUM_LEFT_CLOSED, None)]
        assert of_round(found, FIRST) == of_round(found, LAST) == []
        assert (Kind.OPENING_DIFFERS, run.address(LIAR)) in of_round(found, LIES)
        (closed,) = (one for one in found.warnings if one.round == SPOILT)
        assert f"spoilt by {run.address(SPOILER)}" in closed.detail
        assert [one.verified for one in found.rounds if one.status == "final"] == [True] * 3
        assert found.checks["secrecy"] >= 16
        assert found.checks["openings"] >= 12


# ---------------------------------------------------------------------- what the store may be told


def copied(run: EncryptedConsortium, folder: Path) -> Store:
    shutil.copytree(run.folder / "store", folder / "store")
    return Store([str(folder / "store")])


def openings_of(store: Store, run: EncryptedConsortium, round_id: int, owners: tuple[str, ...]) -> list[Path]:
    """Return the files of what members have opened of a round."""
    total = run.rounds.read(round_id).added.root
    blobs = [opening_blob(run.history, round_id, run.address(owner), total) for owner in owners]
    return [Path(store.urls[0]) / blob.path for blob in blobs]


def examined(run: EncryptedConsortium, store: Store, posting: Posting) -> Outcome:
    """Examine a posting as somebody without the key."""
    history = run.history
    root = history.base_model_roots[posting.round]
    rounds = replace(run.rounds, store=store)
    return examine_encrypted(rounds, posting, lambda: store.read_model(root, history.definition.dimension))


def test_without_the_key_a_posting_rests_on_what_most_have_opened(
    run: EncryptedConsortium, tmp_path: Path
) -> None:
    store, posting = copied(run, tmp_path), run.history.postings[LAST]
    assert isinstance(examined(run, store, posting), Right)
    files = openings_of(store, run, LAST, MEMBERS)
    files[0].unlink()
    assert isinstance(examined(run, store, posting), Right)  # three of four
    files[1].unlink()
    outcome = examined(run, store, posting)
    assert isinstance(outcome, Unprovable)
    assert [one.hidden for one in outcome.doubts] == [Hidden.OPENED_SUM]
    assert not outcome.is_certain
    audit, notes = EncryptionAudit(run.history, store), Collection()
    base = store.read_model(run.history.base_model_roots[LAST], run.history.definition.dimension)
    found = audit.derive(posting, base, notes, pool=HashingPool(1))
    assert (
        found
        == "2 of 4 submitters have published what they opened, and more than half of them do not say the same"
    )
    key = read_cohort_key(run.key_path(MAKER))
    made = EncryptionAudit(run.history, store, key).derive(posting, base, notes, pool=HashingPool(1))
    assert isinstance(made, Aggregate)
    assert (made.model_root, made.result_root) == (posting.model_root, posting.result_root)
    assert notes.findings == notes.warnings == []


def test_a_posting_that_leaves_out_a_member_is_wrong_for_certain(
    run: EncryptedConsortium, tmp_path: Path
) -> None:
    posting = run.history.postings[FIRST]
    left_out = Exclusion(run.submission(FIRST, LIAR).index, ExclusionReason.UNREADABLE)
    for exclusions, hidden, kind in (
        ((*posting.exclusions, left_out), Hidden.EXCLUSION, Kind.WRONGFUL_EXCLUSION),
        ((), Hidden.INCLUSION, Kind.OUTSIDER_INCLUDED),
    ):
        lie = replace(posting, exclusions=exclusions)
        outcome = examined(run, run.store, lie)
        assert isinstance(outcome, Unprovable)
        assert [one.hidden for one in outcome.doubts] == [hidden]
        assert outcome.is_certain
        notes = Collection()
        base = run.store.read_model(
            run.history.definition.genesis_model_root, run.history.definition.dimension
        )
        EncryptionAudit(run.history, run.store).derive(lie, base, notes, pool=HashingPool(1))
        assert kind in [one.kind for one in notes.findings]


def test_what_somebody_else_has_signed_is_not_taken(run: EncryptedConsortium, tmp_path: Path) -> None:
    store, history, thief = copied(run, tmp_path), run.history, run.accounts[OUTSIDER]
    victim, maker = run.address(LIAR), run.address(MAKER)
    mine = new_secret_key()
    own_key, peer_key = b"\x05" * 32, store.read_signed(identity_blob(history, victim))
    sealed = sealed_secret_key(mine, own_key, peer_key, history.run, (maker, victim))
    for blob, content in (
        (identity_blob(history, maker), public_key(own_key)),
        (cohort_key_blob(history, maker), mine.public.content),
        (sealed_key_blob(history, maker, victim, peer_key, mine.public.digest()), sealed),
    ):
        store.write_signed(blob, signed(thief, history, blob, content))
        with pytest.raises(VerificationError, match="is signed by"):
            store.read_signed(blob)
    notes = Collection()
    EncryptionAudit(history, store).audit_keys(notes)
    assert [(one.kind, one.participant) for one in notes.warnings] == [(Kind.SIGNED_BLOB_ALTERED, maker)] * 2
    EncryptionAudit(history, run.store).audit_keys(notes := Collection())
    assert (notes.warnings, notes.checks["blob_copies"]) == ([], 8)  # of four members, sealed to three
    (path,) = openings_of(store, run, LAST, (LIAR,))
    path.write_bytes(bytes(65) + path.read_bytes()[65:])
    openings = replace(run.rounds, store=store).openings(LAST, run.rounds.read(LAST).added.root)
    assert set(openings.bad) == {victim}
    assert len(openings.found) == 3


def test_a_key_that_is_lost_is_taken_again_and_a_damaged_one_is_not_used(
    run: EncryptedConsortium, tmp_path: Path
) -> None:
    key = read_cohort_key(run.key_path(LIAR))
    parts = run.workers[LIAR]._keyring
    assert parts is not None
    again = Keyring(replace(parts._parts, folder=tmp_path))
    assert again.key is None
    assert again.step(run.history, run.address(LIAR))
    assert again.key == key
    path = tmp_path / "encryption" / KEY_FILE
    for content in (b"", path.read_bytes()[:-1], path.read_bytes()[::-1]):
        path.write_bytes(content)
        with pytest.raises(MalformedBlob):
            Keyring(replace(parts._parts, folder=tmp_path))
    path.unlink()
    path.mkdir()
    with pytest.raises(StateUnwritable):
        read_cohort_key(path)


def test_what_was_audited_without_the_key_is_not_taken_for_an_audit_with_it(
    run: EncryptedConsortium, tmp_path: Path
) -> None:
    path = tmp_path / "memory"
    audit_run(run.ledger(), run.store, memory=AuditMemory.opened(path))
    key = read_cohort_key(run.key_path(MAKER))
    with pytest.raises(InputDataError, match="another cohort key"):
        audit_run(run.ledger(), run.store, memory=AuditMemory.opened(path), key=key)


def test_a_ciphertext_that_anybody_reads_is_named(run: EncryptedConsortium) -> None:
    history, dimension = run.history, run.history.definition.dimension
    key = read_cohort_key(run.key_path(MAKER))
    assert key is not None
    numbers = residues(encrypt(run.plain_update(FIRST, PLAIN, weight=1), key.public), dimension)
    readable, beyond = numbers.copy(), lane_bytes(wire(numbers))
    readable[:, 1] = 0  # SEAL calls it transparent
    too_large = np.frombuffer(b"\xff" * 8 + bytes(beyond)[8:], dtype=LANE)
    for lanes, says in (
        (wire(readable), "1 of its 1 blocks are readable"),
        (too_large, "not below the modulus"),
    ):
        opening = Opening(vector_root(lanes), bytes(32))
        own = run.submission(FIRST, PLAIN)
        root = sealed_root(opening.vector_root, opening.salt, history.run, FIRST, own.participant)
        run.store.write_update(own.participant, root, opening, lanes, run=history.run, round=FIRST)
        audit, notes = EncryptionAudit(history, run.store), AuditReport(chain={}, run={})
        submission = replace(own, sealed_root=root)
        found = audit._found(submission, ciphertext_lanes(dimension))
        assert not audit._audit_secrecy(submission, found, notes)
        assert says in notes.findings[0].detail


def test_a_worker_gives_nothing_away_before_it_has_the_key(run: EncryptedConsortium) -> None:
    with pytest.raises(ValueError, match="before the cohort's key"):
        run.workers[OUTSIDER]._encrypted(run.plain_update(FIRST, PLAIN, weight=1))
    worker = run.workers[PLAIN]
    bare = replace(worker._updates, encrypt=None, outbox=Outbox(run.folder / "bare"))
    with pytest.raises(ValueError, match="nothing leaves that is not encrypted"):
        bare.prepared(run.history.rounds[FIRST], run.history, run.address(PLAIN))


def test_openings_read_back_and_nothing_else_does() -> None:
    lanes = lanes_from_native(np.arange(5, dtype=np.int32))
    for content in (OpenedSum(lanes), SpoiltSum(()), SpoiltSum((Address("0x" + "ab" * 20),))):
        assert opening_bytes(parse_opening(opening_bytes(content), 5)) == opening_bytes(content)
    for malformed in (b"", b"\x02", b"\x00" + bytes(16), b"\x00" + bytes(24), b"\x01" + bytes(19)):
        with pytest.raises(MalformedBlob):
            parse_opening(malformed, 5)


def test_the_size_of_a_signed_blob_is_checked_before_it_is_written(run: EncryptedConsortium) -> None:
    blob = identity_blob(run.history, run.address(MAKER))
    for content, signature in ((bytes(31), bytes(65)), (bytes(33), bytes(65)), (bytes(32), bytes(64))):
        with pytest.raises(ValueError, match="has a signature and 32 to 32 bytes"):
            blob.encode(Signed(content, signature))
    stranger = opening_blob(run.history, LAST, Address("0x" + "ab" * 20), Digest(bytes(32)))
    with pytest.raises(VerificationError, match="instead of None"):
        stranger.verify(signed(run.accounts[MAKER], run.history, stranger, bytes(32)))


def test_who_has_rotated_its_key_neither_takes_nor_hands_out_the_cohorts(
    run: EncryptedConsortium, tmp_path: Path
) -> None:
    for owner in (MAKER, LIAR):
        keyring = run.workers[owner]._keyring
        assert keyring is not None
        rotated = Keyring(replace(keyring._parts, account=run.accounts[OUTSIDER], folder=tmp_path))
        assert not rotated.step(run.history, run.address(owner))
        assert rotated.key is None
