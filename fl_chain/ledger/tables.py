"""The tables of a run's history."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

from fl_chain.ledger.masks import Membership, RoundMasks
from fl_chain.ledger.views import (
    NEVER,
    NO_END_TIME,
    AccountBalance,
    ClaimedReward,
    FallenPosting,
    Participant,
    RunState,
    Settlement,
    SignerRotation,
)
from fl_chain.records import (
    ZERO_ADDRESS,
    ZERO_DIGEST,
    Address,
    AggregationKind,
    Digest,
    LedgerPolicy,
    Posting,
    Round,
    RoundStatus,
    RunDefinition,
    RunId,
    Submission,
    VoidReason,
)


class Tables:
    """Everything that is known of a run, by round and by address.

    Attributes:
        run: which chain and ledger.
        definition: what is trained.
        policy: the rules.
        operator: who deployed.
        token: what amounts are in; zero for the native coin.
        deployed_at: chain time of the deployment, seconds.
        state: where the run stands.
        participants: by identity.
        rounds: by id, from 1.
        submissions: by round, in the ledger's order; empty for a round that has none.
        postings: the one that stands, by round.
        all_postings: in their order, those that no longer stand included.
        fallen: postings that were taken down, in their order. One that went with its base is not among them.
        barred: by round, who may not post it any more.
        objections: who objected, in their order, by round and posting number.
        bonuses: what fallen bonds have added to a round's reward, in wei.
        base_model_roots: by round, of the model that it started from, which may have fallen since.
        seeds: by round, fixed when it closed.
        voids: why a round is void.
        settlements: by round that is final.
        claims: rewards paid, in their order.
        unclaimed: rewarded submissions by participant and round, those of void rounds with a bonus included.
        accounts: bonds and credits by address.
        rotations: signing keys that were asked for, by participant.
        identities: participant by the key that signs for it now.
        caps_at_submission: weight cap by round and index.
        departed: participants that left and have not come back.
        registered_at: who could submit to a round when it opened, in order of address.
        identity_keys: of participants of a masked run, 32 bytes, in the order in which they came.
        newest_identity_in: number of the block of the newest identity key.
        memberships: what the masks of a masked run know of each participant.
        fixed_in: the newest round whose survivors an account fixed.
        masks: by round of a masked run.
        seeds_at_posting: what a masked posting's masks are taken off with, by round and posting number.
    """

    definition: RunDefinition
    policy: LedgerPolicy
    operator: Address
    token: Address
    deployed_at: int

    def __init__(self, run: RunId) -> None:
        self.run = run
        self.state = RunState(0, 0, 0, 0, 0, NEVER, NO_END_TIME, 0, ZERO_ADDRESS, 0)
        # Round 0 is genesis: never opened, its `returning` is what the first round expects.
        self.genesis = Round(0, RoundStatus.NONE, 0, 0, 0, 0, 0, 0, 0, 0, 0, ZERO_DIGEST)
        self.participants: dict[Address, Participant] = {}
        self.rounds: dict[int, Round] = {}
        self.submissions: dict[int, list[Submission]] = {}
        self.postings: dict[int, Posting] = {}
        self.all_postings: list[Posting] = []
        self.fallen: list[FallenPosting] = []
        self.barred: dict[int, set[Address]] = {}
        self.objections: dict[tuple[int, int], list[Address]] = {}
        self.bonuses: dict[int, int] = {}
        self.base_model_roots: dict[int, Digest] = {}
        self.seeds: dict[int, Digest] = {}
        self.voids: dict[int, VoidReason] = {}
        self.settlements: dict[int, Settlement] = {}
        self.claims: list[ClaimedReward] = []
        self.unclaimed: dict[Address, dict[int, Submission]] = defaultdict(dict)
        self.accounts: dict[Address, AccountBalance] = {}
        self.rotations: dict[Address, SignerRotation] = {}
        self.identities: dict[Address, Address] = {}
        self.caps_at_submission: dict[tuple[int, int], int] = {}
        self.departed: set[Address] = set()
        self.registered_at: dict[int, tuple[Address, ...]] = {}
        self.identity_keys: dict[Address, bytes] = {}
        self.newest_identity_in = 0
        self.memberships: dict[Address, Membership] = {}
        self.fixed_in: dict[Address, int] = {}
        self.masks: dict[int, RoundMasks] = {}
        self.seeds_at_posting: dict[tuple[int, int], tuple[bytes, ...]] = {}

    def update_state(self, **changes: Any) -> None:
        """Replace fields of the run's state."""
        self.state = replace(self.state, **changes)

    def round_or_genesis(self, round_id: int) -> Round:
        """Return a round; 0 stands for genesis."""
        return self.rounds[round_id] if round_id else self.genesis

    @property
    def is_masked(self) -> bool:
        """Whether nobody sees a single update of the run."""
        return self.policy.aggregation.is_masked

    @property
    def is_grouped(self) -> bool:
        """Whether masked updates are added up in random groups."""
        return self.policy.aggregation is AggregationKind.MASKED_RESULT

    def round_masks(self, round_id: int) -> RoundMasks:
        """Return a round's masks; empty where nobody set up keys."""
        return self.masks.get(round_id, RoundMasks())

    @property
    def vertices(self) -> dict[Address, int]:
        """The numbers that participants of a masked run have in its graphs."""
        return {who: number for number, who in enumerate(self.identity_keys)}

    def model_root(self, round_id: int) -> Digest:
        """Return the root of the model that a round made; genesis for 0, a zero digest where none stands."""
        if round_id == 0:
            return self.definition.genesis_model_root
        posting = self.postings.get(round_id)
        return ZERO_DIGEST if posting is None else posting.model_root

    def update_round(self, round_id: int, **changes: Any) -> None:
        """Replace fields of a round; 0 stands for genesis."""
        changed = replace(self.round_or_genesis(round_id), **changes)
        if round_id:
            self.rounds[round_id] = changed
        else:
            self.genesis = changed

    def update_participant(self, participant: Address, **changes: Any) -> None:
        """Replace fields of a participant."""
        self.participants[participant] = replace(self.participants[participant], **changes)

    def account(self, address: Address) -> AccountBalance:
        """Return an account's bonds and credits; all zero where it has none."""
        return self.accounts.get(address, AccountBalance())

    def update_account(self, address: Address, **changes: Any) -> None:
        """Replace fields of an account."""
        self.accounts[address] = replace(self.account(address), **changes)
