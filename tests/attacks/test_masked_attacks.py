"""Attacks on secure aggregation: each is stopped by the rule that is named, and gets further without it.

The attacker is whom the protocol has to withstand: an aggregator that also serves the participants' nodes, so
that it can show each of them another chain, or participants of its own. It sees ledger and store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from consortium import PUBLICATION_S, Consortium, policy

from fl_chain.aggregation.quantise import verify_update
from fl_chain.audit.findings import AuditReport
from fl_chain.audit.ledger_state import audit_contract_state
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.proofs import MaskProof, SeedProof
from fl_chain.commitment.tree import vector_tree
from fl_chain.config import MaskingSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import (
    LedgerReverted,
    MalformedBlob,
    ProofRejected,
    SpoiltRound,
    TooFewShares,
    UpdateOutOfRange,
    VerificationError,
)
from fl_chain.ledger import events as e
from fl_chain.ledger.events import Place
from fl_chain.ledger.history import History
from fl_chain.masking import unmasking
from fl_chain.masking.keys import public_key, round_private_key
from fl_chain.masking.masks import Mask, add_masks, is_subtracted, native_lanes, pair_mask_key, self_mask_key
from fl_chain.masking.masks import wire_lanes as wire
from fl_chain.masking.releases import Release, parse_release
from fl_chain.masking.setup import KeySetUp, key_set_up, received_shares
from fl_chain.records import Address, Digest, Exclusion, ExclusionReason, RoundStatus
from fl_chain.run import masked_rounds, ring
from fl_chain.run.claims import posting_claim
from fl_chain.run.masked_rounds import (
    masking_context,
    release_blob,
    round_occasion,
    unmasking_vectors,
    verify_sum,
)
from fl_chain.run.posted_terms import PostedTerms
from fl_chain.run.prover import verify_any_proof
from fl_chain.run.unmasking import joined_seeds

VICTIM = 1  # place among the submissions


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Five masked updates are published, and nobody has fixed who stays."""
    folder = tmp_path_factory.mktemp("masked")
    run = Consortium(folder, policy=policy(), privacy=MaskingSettings(kind="secagg"))
    run.work_until(
        lambda history: history.rounds[1].status is RoundStatus.CLOSED if 1 in history.rounds else False,
        with_aggregator=False,
    )
    while run.work(with_aggregator=False):
        pass
    yield run
    run.chain.close()


@pytest.fixture
def run(played: Consortium) -> Consortium:
    """The same with workers that remember nothing but what is on their disks."""
    for owner in OWNERS:
        for path in (played.folder / f"worker-{owner}" / "masks").glob("released-*"):
            path.unlink()
        played.workers[owner] = played.worker(owner)
    for folder in (played.folder / "store" / "releases").glob("*/*"):
        folder.unlink()
    return played


def shown(run: Consortium, excluded: Sequence[int] = ()) -> History:
    """Return the history that a node makes up: as if these survivors had been fixed."""
    events = run.run.ledger.all_events()
    history = History(run.run.ledger.run)
    history.extend(events)
    submissions, last = history.submissions[1], events[-1].place
    survivors, departed = len(submissions) - len(excluded), len(excluded)
    place = Place(last.block_number + 1, bytes(32), last.timestamp, bytes(32), 0)
    exclusions = tuple(
        Exclusion(index, ExclusionReason.UNREADABLE, submissions[index].leaf) for index in excluded
    )
    fixed = e.SurvivorsFixed(
        place, 1, run.aggregator_account.address, survivors, survivors + departed * survivors, exclusions, ()
    )
    history.extend([fixed])
    return history


def ask(run: Consortium, history: History, owners: Sequence[str] = OWNERS) -> None:
    """Show a history to workers, and let them release what they will."""
    for owner in owners:
        run.workers[owner]._ring.step(history, run.address(owner))


def opened(run: Consortium, key_seed: bytes, mask_seed: bytes) -> Lanes:
    """Return the victim's update, from both of its seeds and what is public."""
    history = shown(run)
    context, masks = masking_context(history, 1), history.round_masks(1)
    victim = history.submissions[1][VICTIM]
    lanes = native_lanes(published(run, VICTIM))
    taken = [Mask(self_mask_key(mask_seed, context, victim.participant), is_negative=True)]
    private = round_private_key(key_seed, context)
    for keys in masks.keys:
        if keys.participant != victim.participant:
            pair = (victim.participant, keys.participant)
            key = pair_mask_key(private, keys.round_key, context, pair)
            taken.append(Mask(key, is_negative=not is_subtracted(*pair)))
    add_masks(lanes, taken)
    return wire(lanes)


def published(run: Consortium, index: int) -> Lanes:
    history = run.history
    one = history.submissions[1][index]
    dimension = history.definition.dimension
    return run.store.read_update(one.participant, one.sealed_root, dimension, run=history.run, round=1).lanes


def verify_open(run: Consortium, lanes: Lanes) -> None:
    """Check that lanes are a plain update."""
    history = run.history
    weight = history.submissions[1][VICTIM].weight
    verify_update(lanes, weight, history.policy.quantisation, history.definition.dimension)


def owner_of(run: Consortium, who: Address) -> str:
    return next(owner for owner in OWNERS if run.address(owner) == who)


# ---------------------------------------------------------------------- two survivor sets


def seed_of_victim(run: Consortium, history: History) -> bytes:
    """Return the victim's seed that a set of survivors calls for, if enough shares of it are released."""
    victim = history.submissions[1][VICTIM].participant
    masks, submissions = history.round_masks(1), history.submissions[1]
    owners = masks.stayed(submissions) + masks.departed(submissions)
    return joined_seeds(history, run.store, 1)[owners.index(victim)]


def test_two_survivor_sets(run: Consortium) -> None:
    """Everybody is shown first that the victim stays, then that it has left."""
    stays, left = shown(run), shown(run, (VICTIM,))
    ask(run, stays)
    ask(run, left)
    assert len(seed_of_victim(run, stays)) == 16
    with pytest.raises(TooFewShares, match="0 are released"):
        seed_of_victim(run, left)


def test_two_survivor_sets_after_a_crash(run: Consortium) -> None:
    stays, left = shown(run), shown(run, (VICTIM,))
    ask(run, stays)
    for owner in OWNERS:
        run.workers[owner] = run.worker(owner)
    ask(run, left)
    with pytest.raises(TooFewShares):
        seed_of_victim(run, left)


def test_without_memory_two_survivor_sets_open_an_update(
    run: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring.RingMember, "_is_remembered", lambda *_: True)
    stays, left = shown(run), shown(run, (VICTIM,))
    ask(run, stays)
    ask(run, left)
    verify_open(run, opened(run, seed_of_victim(run, left), seed_of_victim(run, stays)))


def test_two_chains_at_once_do_not_reach_the_threshold_twice(run: Consortium) -> None:
    """Some are shown that the victim stays, the others that it has left: two thirds cannot be had twice."""
    stays, left = shown(run), shown(run, (VICTIM,))
    ask(run, stays, OWNERS[:3])
    ask(run, left, OWNERS[3:])
    for history in (stays, left):
        with pytest.raises(TooFewShares):
            seed_of_victim(run, history)


# ---------------------------------------------------------------------- both shares of one peer


def test_both_shares_of_one_peer(run: Consortium) -> None:
    """One worker is asked for both shares of the victim."""
    stays, left = shown(run), shown(run, (VICTIM,))
    one = next(owner for owner in OWNERS if run.address(owner) != stays.submissions[1][VICTIM].participant)
    ask(run, stays, (one,))
    ask(run, left, (one,))
    assert run.store.has_release(run.address(one), round_occasion(stays, 1))
    assert not run.store.has_release(run.address(one), round_occasion(left, 1))


def test_a_release_has_one_share_of_each_peer(run: Consortium) -> None:
    content = Release({run.address(OWNERS[0]): bytes(17)}).to_bytes()
    assert parse_release(content).shares == {run.address(OWNERS[0]): bytes(17)}
    with pytest.raises(MalformedBlob, match="not ascending"):
        parse_release(content + content)
    with pytest.raises(MalformedBlob, match="whole number"):
        parse_release(content + b"x")


# ---------------------------------------------------------------------- replayed shares


def replayed(run: Consortium, stays: History, left: History) -> None:
    """Put what was released for one set of survivors under the name of another."""
    for owner in OWNERS:
        who = run.address(owner)
        signed = run.store.read_release(release_blob(stays, 1, who))
        run.store.write_release(release_blob(left, 1, who), signed)


def test_replayed_shares(run: Consortium) -> None:
    stays, left = shown(run), shown(run, (VICTIM,))
    ask(run, stays)
    replayed(run, stays, left)
    with pytest.raises(VerificationError, match="is signed by"):
        run.store.read_release(release_blob(left, 1, run.address(OWNERS[0])))
    with pytest.raises(TooFewShares, match="0 are released"):
        seed_of_victim(run, left)


def test_without_signatures_replayed_shares_meet_the_commitment(
    run: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, left = shown(run), shown(run, (VICTIM,))
    ask(run, stays)
    replayed(run, stays, left)
    monkeypatch.setattr(masked_rounds, "signer_for", lambda *given: _author(run, stays, given[-1]))
    with pytest.raises(TooFewShares, match="does not follow from"):
        seed_of_victim(run, left)
    monkeypatch.setattr(unmasking, "verify_seed", lambda *_: None)
    monkeypatch.setattr("fl_chain.masking.shares.verify_seed", lambda *_: None)
    assert seed_of_victim(run, left) == seed_of_victim(run, stays)  # of the wrong kind: `challengeSeed`


def _author(run: Consortium, history: History, signature: bytes) -> Address:
    for owner in OWNERS:
        path = run.folder / "store" / release_blob(history, 1, run.address(owner)).path
        if path.read_bytes()[:65] == signature:
            return run.history.participants[run.address(owner)].signer
    raise AssertionError("nobody's signature")


# ---------------------------------------------------------------------- sybils against the minimum


def test_a_sum_of_few(run: Consortium) -> None:
    """Three sybils leave the victim's sum to two, which the contract does not fix; so a node makes it up."""
    few = shown(run, (2, 3, 4))
    ask(run, few)
    with pytest.raises(TooFewShares):
        joined_seeds(few, run.store, 1)


def test_without_the_minimum_a_sum_of_few_is_opened(run: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring.RingMember, "_are_enough", lambda *_: True)
    few = shown(run, (2, 3, 4))
    ask(run, few)
    masks, submissions = few.round_masks(1), few.submissions[1]
    owners = masks.stayed(submissions) + masks.departed(submissions)
    seeds = dict(zip(owners, joined_seeds(few, run.store, 1), strict=True))
    total = native_lanes(published(run, 0)) + native_lanes(published(run, 1))
    for term in unmasking_vectors(few, 1, seeds):
        total += native_lanes(term)
    verify_sum(wire(total), submissions[0].weight + submissions[1].weight, few.policy.quantisation)


# ---------------------------------------------------------------------- another base for one victim


def test_another_base_model_for_one_victim(run: Consortium) -> None:
    """The victim is shown another base model: its update is under masks that nobody else has."""
    history = shown(run)
    worker, victim = OWNERS[0], run.address(OWNERS[0])
    fooled = shown(run)
    fooled.base_model_roots[1] = Digest(b"\x07" * 32)
    index = next(one.index for one in history.submissions[1] if one.participant == victim)
    plain = np.zeros(history.definition.dimension, dtype=published(run, 0).dtype)
    lanes = run.workers[worker]._ring.masked(fooled, 1, victim, plain)
    ask(run, history)
    seeds = dict(
        zip(
            history.round_masks(1).stayed(history.submissions[1]),
            joined_seeds(history, run.store, 1),
            strict=True,
        )
    )
    weight = sum(one.weight for one in history.submissions[1])
    right, wrong = (
        sum(
            native_lanes(lanes if is_wrong and one.index == index else published(run, one.index))
            for one in history.submissions[1]
        )
        for is_wrong in (False, True)
    )
    for term in unmasking_vectors(history, 1, seeds):
        right += native_lanes(term)
        wrong += native_lanes(term)
    verify_sum(wire(right), weight, history.policy.quantisation)
    with pytest.raises(SpoiltRound, match="out of range"):
        verify_sum(wire(wrong), weight, history.policy.quantisation)
    with pytest.raises(UpdateOutOfRange):  # what was to be learnt of it is noise
        verify_open(run, lanes)


# ---------------------------------------------------------------------- substituted keys


def test_substituted_identity_keys(run: Consortium) -> None:
    """Whoever serves the keys puts its own in the place of a peer's, to open what is sealed to the peer."""
    ledger, mallory = run.run.ledger, bytes(range(1, 33))
    with pytest.raises(LedgerReverted, match="IdentityKeyFixed"):
        ledger.set_identity_key(run.accounts[OWNERS[0]], public_key(mallory))
    with pytest.raises(LedgerReverted, match="NotRegistered"):
        ledger.set_identity_key(run.account("mallory"), public_key(mallory))
    # A node that tells of another key is found by the audit: the contract has the right one.
    events = [
        replace(one, key=public_key(mallory))
        if isinstance(one, e.IdentityKeySet) and one.participant == run.address(OWNERS[1])
        else one
        for one in ledger.all_events()
    ]
    history = History(ledger.run)
    history.extend(events)
    report = AuditReport(chain={}, run={})
    audit_contract_state(ledger.pinned(), history, report, is_proven=False)
    assert {one.kind.value for one in report.findings} == {"state_differs"}


@pytest.mark.parametrize("is_substituted", [False, True])
def test_what_a_substituted_key_would_open(run: Consortium, is_substituted: bool) -> None:
    """Only where the key is not the ledger's does the attacker read what is sealed to the peer."""
    history, mallory = shown(run), bytes(range(1, 33))
    worker, peer = run.workers[OWNERS[0]]._ring, run.address(OWNERS[1])
    own, context = run.address(OWNERS[0]), masking_context(history, 1)
    keys = {who: key for who, key in history.identity_keys.items() if who != own}
    if is_substituted:
        keys[peer] = public_key(mallory)
    set_up: KeySetUp = key_set_up(worker._secrets(history, 1, own), worker._identity_key, context, own, keys)
    if is_substituted:
        assert len(received_shares(set_up, mallory, history.identity_keys[own], context, peer)) == 2
    else:
        with pytest.raises(MalformedBlob, match="do not open"):
            received_shares(set_up, mallory, history.identity_keys[own], context, peer)


# ---------------------------------------------------------------------- what the contract holds


def test_the_contract_fixes_no_few_survivors_and_none_twice(run: Consortium) -> None:
    """The round goes on with it: what is below comes after the survivors are fixed."""
    ledger, history = run.run.ledger, run.history
    submissions, digest = history.submissions[1], history.rounds[1].digest

    def fix(*left_out: int) -> None:
        excluded = [(Exclusion(at, ExclusionReason.UNREADABLE), submissions[at]) for at in left_out]
        ledger.fix_survivors(
            run.aggregator_account, round=1, digest=digest, exclusions=excluded, absentees=[]
        )

    ledger.deposit_bond(run.aggregator_account, run.policy.bond_wei)
    run.pass_time(PUBLICATION_S)
    with pytest.raises(LedgerReverted, match="TooFewSurvivors"):
        fix(0, 1, 2)
    fix()
    with pytest.raises(LedgerReverted, match="SurvivorsAlreadyFixed"):
        fix(VICTIM)


def posted_honestly(run: Consortium) -> None:
    """Let the aggregator, which has fixed the survivors above, post."""
    run.work_until(lambda history: 1 in history.postings)


def altered(proof: SeedProof | MaskProof) -> Iterator[tuple[str, SeedProof | MaskProof]]:
    """Yield proofs that are wrong in one thing each."""
    yield "nothing", proof
    yield "seeds", replace(proof, seeds=(bytes(16), *proof.seeds[1:]))
    yield "set_ups", replace(proof, set_ups=proof.set_ups[::-1])
    yield "departed", replace(proof, departed=replace(proof.departed, absentees=(proof.owner.participant,)))
    yield "leaf", replace(proof, leaf=replace(proof.leaf, weight=proof.leaf.weight + 1))
    if isinstance(proof, SeedProof):
        yield "number", replace(proof, number=len(proof.seeds))
        yield "owner", replace(proof, owner=replace(proof.owner, round_key=bytes(32)))
    else:
        yield "term", replace(proof, term=len(proof.partial_sum_roots))
        yield "chunk", replace(proof, chunk=1 << 20)
        yield "path", replace(proof, path=(*proof.path, Digest(bytes(32))))
        yield "list", replace(proof, partial_sum_roots=proof.partial_sum_roots[::-1])
        yield "hash", replace(proof, chunk_hash=Digest(bytes(32)))


def test_proofs_against_an_honest_posting_are_refused_alike(run: Consortium) -> None:
    """The contract and its twin in Python refuse the same proof for the same reason."""
    posted_honestly(run)
    claim = posting_claim(run.history, 1)
    masks = claim.stored.masks
    assert masks is not None
    terms = PostedTerms(claim, masks)
    hashes = vector_tree(terms.lanes(2)).chunk_hashes
    for proof in (terms.seed_proof(2), terms.mask_proof(2, 0, hashes)):
        for what, changed in altered(proof):
            with pytest.raises(ProofRejected) as here:
                verify_any_proof(changed, claim.stored)
            with pytest.raises(LedgerReverted) as there:
                run.run.ledger.try_challenge(run.operator.address, 1, changed)
            assert here.value.name == there.value.name, what
