"""Attacks on secure aggregation that no switch belongs to; the numbered ones are in `numbered/by_masks.py`.

The attacker is whom the protocol has to withstand: an aggregator that also serves the participants' nodes, so
that it can show each of them another chain, or participants of its own. It sees ledger and store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from consortium import Consortium, policy

from fl_chain.commitment.proofs import MaskProof, SeedProof
from fl_chain.commitment.tree import vector_tree
from fl_chain.config import MaskingSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import (
    LedgerReverted,
    MalformedBlob,
    ProofRejected,
    TooFewShares,
)
from fl_chain.ledger import events as e
from fl_chain.ledger.events import Place
from fl_chain.ledger.history import History
from fl_chain.masking.keys import public_key
from fl_chain.masking.releases import Release, parse_release
from fl_chain.masking.setup import KeySetUp, key_set_up, received_shares
from fl_chain.records import Digest, Exclusion, ExclusionReason, RoundStatus
from fl_chain.run.claims import posting_claim
from fl_chain.run.masked_rounds import (
    masking_context,
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


# ---------------------------------------------------------------------- two survivor sets


def seed_of_victim(run: Consortium, history: History) -> bytes:
    """Return the victim's seed that a set of survivors calls for, if enough shares of it are released."""
    victim = history.submissions[1][VICTIM].participant
    masks, submissions = history.round_masks(1), history.submissions[1]
    owners = masks.stayed(submissions) + masks.departed(submissions)
    return joined_seeds(history, run.store, 1)[owners.index(victim)]


def test_two_survivor_sets_after_a_crash(run: Consortium) -> None:
    stays, left = shown(run), shown(run, (VICTIM,))
    ask(run, stays)
    for owner in OWNERS:
        run.workers[owner] = run.worker(owner)
    ask(run, left)
    with pytest.raises(TooFewShares):
        seed_of_victim(run, left)


def test_two_chains_at_once_do_not_reach_the_threshold_twice(run: Consortium) -> None:
    """Some are shown that the victim stays, the others that it has left: two thirds cannot be had twice."""
    stays, left = shown(run), shown(run, (VICTIM,))
    ask(run, stays, OWNERS[:3])
    ask(run, left, OWNERS[3:])
    for history in (stays, left):
        with pytest.raises(TooFewShares):
            seed_of_victim(run, history)


def test_a_release_has_one_share_of_each_peer(run: Consortium) -> None:
    content = Release({run.address(OWNERS[0]): bytes(17)}).to_bytes()
    assert parse_release(content).shares == {run.address(OWNERS[0]): bytes(17)}
    with pytest.raises(MalformedBlob, match="not ascending"):
        parse_release(content + content)
    with pytest.raises(MalformedBlob, match="whole number"):
        parse_release(content + b"x")


# ---------------------------------------------------------------------- substituted keys


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


# ---------------------------------------------------------------------- proofs that prove nothing


def posted_honestly(run: Consortium) -> None:
    """Let everybody release, and the aggregator post."""
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
