"""Every check that an audit makes: what it proves, what it can find, and why it may not have been made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fl_chain.audit.kinds import Kind


class CheckId(StrEnum):
    """The stable names of the checks."""

    CODE = "code"
    NODES = "nodes"
    POLICY_DOCUMENT = "policy_document"
    MANIFEST = "manifest"
    BLOB_COPIES = "blob_copies"
    EVENT_ORDER = "event_order"
    EVENT_FIELDS = "event_fields"
    BLOCKS = "blocks"
    SEEDS = "seeds"
    CONTRACT_STATE = "contract_state"
    ROUND_DIGESTS = "round_digests"
    SUBMISSIONS = "submissions"
    UPDATE_BOUNDS = "update_bounds"
    EXCLUSIONS = "exclusions"
    COHORTS = "cohorts"
    INCLUDED_WEIGHTS = "included_weights"
    PARTIAL_SUMS = "partial_sums"
    MODELS = "models"
    SELECTIONS = "selections"
    RESULTS = "results"
    CLAMPED_LANES = "clamped_lanes"
    UPDATE_FIGURES = "update_figures"
    MASKS = "masks"
    SECRECY = "secrecy"
    OPENINGS = "openings"
    CHALLENGES = "challenges"
    OBJECTIONS = "objections"
    LOST_BONDS = "lost_bonds"
    UNCHALLENGED = "unchallenged"
    ROUND_REWARDS = "round_rewards"
    CLAIMS = "claims"
    CONSERVATION = "conservation"
    BALANCE = "balance"
    PROVEN_EVENTS = "proven_events"
    PROVEN_STATE = "proven_state"


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of check."""

    id: CheckId
    title: str  # what is compared with what
    proves: str  # what is so where it finds nothing
    otherwise: str  # why it was not made, where it was made zero times
    kinds: tuple[Kind, ...]  # what it can find


CHECKS: tuple[Check, ...] = (
    Check(
        CheckId.CODE,
        "deployed code of both contracts against this release's",
        "The rules are those of this release: whoever runs the audit can read them.",
        "the ledger is one in memory: no machine ran the contract's code",
        (),  # an audit refuses another contract
    ),
    Check(
        CheckId.NODES,
        "answers of the node against another node's",
        "Block, code, events and views are the same on every node that was asked.",
        "no other node was named with --compare-rpc",
        (
            Kind.NODE_BLOCK_DIFFERS,
            Kind.NODE_CODE_DIFFERS,
            Kind.NODE_EVENTS_DIFFER,
            Kind.NODE_STATE_DIFFERS,
        ),
    ),
    Check(
        CheckId.POLICY_DOCUMENT,
        "policy document against the contract's constants",
        "The rules that people read are the rules that are in force.",
        "no good copy of the policy document could be read",
        (Kind.POLICY_DIFFERS,),
    ),
    Check(
        CheckId.MANIFEST,
        "manifest against the contract's dimension",
        "The vectors on the ledger are the parameters of the model that the manifest describes.",
        "no good copy of the manifest could be read",
        (Kind.DIMENSION_DIFFERS,),
    ),
    Check(
        CheckId.BLOB_COPIES,
        "every copy of every blob against its commitment",
        "Documents, genesis, included updates, partial sums and models are there, and are those that were "
        "committed to.",
        "there was no blob to read",
        (
            Kind.POLICY_MISSING,
            Kind.POLICY_ALTERED,
            Kind.MANIFEST_MISSING,
            Kind.MANIFEST_ALTERED,
            Kind.GENESIS_MISSING,
            Kind.GENESIS_ALTERED,
            Kind.UPDATE_MISSING,
            Kind.UPDATE_ALTERED,
            Kind.SUM_BLOB_MISSING,
            Kind.SUM_BLOB_ALTERED,
            Kind.MODEL_BLOB_MISSING,
            Kind.MODEL_BLOB_ALTERED,
            Kind.RULE_STATE_BLOB_MISSING,
            Kind.RULE_STATE_BLOB_ALTERED,
            Kind.SHARES_MISSING,
            Kind.SHARES_ALTERED,
            Kind.RELEASE_ALTERED,
            Kind.SIGNED_BLOB_ALTERED,
        ),
    ),
    Check(
        CheckId.EVENT_ORDER,
        "every event against the steps, deadlines and rights before it",
        "Nothing on the ledger happened too early, too late, out of order, or by whom it was not for.",
        "there is no event yet",
        (Kind.OUT_OF_ORDER, Kind.LATE_SUBMISSION),
    ),
    Check(
        CheckId.EVENT_FIELDS,
        "every field of every event against what the events before it give",
        "Counts, weights, times, amounts and addresses in the events follow from one another.",
        "there is no event yet",
        (Kind.EVENT_DIFFERS,),
    ),
    Check(
        CheckId.BLOCKS,
        "hash and time of every event's block against the chain's",
        "Every event happened when it says, on the chain that the report names.",
        "there is no event yet",
        (Kind.EVENT_DIFFERS,),
    ),
    Check(
        CheckId.SEEDS,
        "seeds of closed rounds against their blocks' randomness",
        "Nobody but the producer of the closing block could choose a round's seed.",
        "no round has closed, or the node does not show its blocks' randomness",
        (Kind.SEED_DIFFERS,),
    ),
    Check(
        CheckId.CONTRACT_STATE,
        "everything that the contract stores against what its events give",
        "The contract's storage and its events tell the same run.",
        "there is no event yet",
        (Kind.STATE_DIFFERS,),
    ),
    Check(
        CheckId.ROUND_DIGESTS,
        "round digests against their submissions",
        "No submission was added, dropped, changed or reordered.",
        "no round has opened yet",
        (Kind.DIGEST_DIFFERS,),
    ),
    Check(
        CheckId.SUBMISSIONS,
        "declared weights against the caps of that time",
        "Nobody counted for more than the operator had allowed when it submitted.",
        "nobody has submitted yet",
        (Kind.WEIGHT_OVER_CAP,),
    ),
    Check(
        CheckId.UPDATE_BOUNDS,
        "included updates against their bounds",
        "No included update has a lane that no honest update has.",
        "no included update was read",
        (Kind.UPDATE_OUT_OF_RANGE,),
    ),
    Check(
        CheckId.EXCLUSIONS,
        "exclusions against the updates that they leave out",
        "No update that can be shown to be valid was left out as out of range or by the rule.",
        "no posting that was audited leaves anything out",
        (Kind.WRONGFUL_EXCLUSION, Kind.EXCLUDED_BUT_READABLE),
    ),
    Check(
        CheckId.COHORTS,
        "included submissions against their round's cohort, drawn again",
        "Only participants who were drawn for a round are in its model.",
        "the run has no cohorts, no posting stands, or no good copy of the policy document could be read",
        (Kind.OUTSIDER_INCLUDED,),
    ),
    Check(
        CheckId.INCLUDED_WEIGHTS,
        "posted weights and numbers against the included submissions",
        "The mean is divided by exactly the weights that went into it.",
        "no posting stands",
        (Kind.TOTAL_WEIGHT_DIFFERS,),
    ),
    Check(
        CheckId.PARTIAL_SUMS,
        "posted partial sums, derived again",
        "Every sum is that of the included updates, bit for bit.",
        "no posting's sums could be derived again",
        (Kind.PARTIAL_SUM_DIFFERS,),
    ),
    Check(
        CheckId.MODELS,
        "posted models, derived again",
        "Every model is its base plus its round's mean, bit for bit.",
        "no posting stands among the audited rounds",
        (Kind.MODEL_DIFFERS, Kind.MODEL_UNDERIVABLE),
    ),
    Check(
        CheckId.SELECTIONS,
        "what postings leave out by rule, against the rule",
        "The run's rule chose which updates count, not the aggregator.",
        "the run's rule leaves nothing out, or no posting stands",
        (Kind.SELECTION_DIFFERS, Kind.SELECTION_UNDERIVABLE),
    ),
    Check(
        CheckId.RESULTS,
        "posted results and states of rules, derived again",
        "Every result and every state is what the run's rule gives, bit for bit.",
        "the run's rule has neither result nor state, or no posting could be derived again",
        (Kind.RESULT_DIFFERS, Kind.RULE_STATE_DIFFERS),
    ),
    Check(
        CheckId.CLAMPED_LANES,
        "models against the limits of 32 bits",
        "The numbers' format did not keep the model from learning.",
        "no model could be derived again",
        (Kind.LANES_CLAMPED,),
    ),
    Check(
        CheckId.UPDATE_FIGURES,
        "figures of included updates against those of others",
        "Nothing stands out among the updates; that is no proof that all of them are honest.",
        "no included update was read",
        (
            Kind.UPDATE_ZERO,
            Kind.UPDATE_COPIED,
            Kind.UPDATE_REPEATED,
            Kind.UPDATE_NEARLY_COPIED,
            Kind.NORM_OUTLIER,
            Kind.DIRECTION_OUTLIER,
        ),
    ),
    Check(
        CheckId.MASKS,
        "published seeds, posted terms and masked sums, derived again",
        "What was taken off the sum is what participants put on, and nothing else.",
        "the run is not masked, or no posting stands",
        (
            Kind.MASK_SEED_DIFFERS,
            Kind.MASK_TERM_DIFFERS,
            Kind.ROUND_SPOILT,
            Kind.MASKS_LEFT_ON,
            Kind.GROUP_SPOILT,
            Kind.PARTICIPANT_SPOILS,
        ),
    ),
    Check(
        CheckId.SECRECY,
        "published seeds, and updates under masks or encrypted, against what would open one",
        "Neither ledger nor store opens a single update.",
        "the run is neither masked nor encrypted, or nothing was published yet",
        (Kind.UPDATE_UNMASKED, Kind.UPDATE_OPEN, Kind.UPDATE_UNENCRYPTED),
    ),
    Check(
        CheckId.OPENINGS,
        "opened sums of encrypted rounds, against one another",
        "More than half of a round's submitters say that its ciphertexts hold the sum behind the model.",
        "the run is not encrypted, or no round has closed",
        (Kind.OPENING_DIFFERS, Kind.SUM_LEFT_CLOSED),
    ),
    Check(
        CheckId.CHALLENGES,
        "challenges that took a posting down, derived again",
        "No aggregator lost its bond without reason.",
        "no posting among the audited rounds fell to a challenge",
        (Kind.FALL_UNFOUNDED, Kind.FALL_UNVERIFIABLE),
    ),
    Check(
        CheckId.OBJECTIONS,
        "objections and their effect",
        "Objections are of those who submitted, counted once each, and did what they had to.",
        "nobody has objected",
        (Kind.FALL_UNFOUNDED, Kind.REJECTED_THOUGH_RIGHT, Kind.POSTING_OBJECTED),
    ),
    Check(
        CheckId.LOST_BONDS,
        "bonds of postings that fell",
        "Lost bonds went to the challenger and to the round's reward, as the policy says.",
        "no posting has fallen",
        (Kind.REWARD_DIFFERS,),
    ),
    Check(
        CheckId.UNCHALLENGED,
        "standing postings against the challenges that are possible",
        "No posting stands that one transaction could have taken down.",
        "no posting stands among the audited rounds",
        (Kind.CHALLENGE_POSSIBLE, Kind.CHALLENGE_MISSED),
    ),
    Check(
        CheckId.ROUND_REWARDS,
        "rewards and dust of final rounds",
        "Every final round paid what policy and lost bonds give.",
        "no round is final yet",
        (Kind.REWARD_DIFFERS,),
    ),
    Check(
        CheckId.CLAIMS,
        "claimed rewards against what was earned",
        "Nobody was paid twice, too much, too little, or elsewhere than it asked for.",
        "nothing was claimed yet",
        (Kind.REWARD_UNFOUNDED, Kind.REWARD_DIFFERS),
    ),
    Check(
        CheckId.CONSERVATION,
        "money in against money out, for the pool and every account",
        "No money appeared or vanished.",
        "no money has moved yet",
        (Kind.MONEY_UNACCOUNTED,),
    ),
    Check(
        CheckId.BALANCE,
        "money held against money owed",
        "The contract can pay everybody at once.",
        "it is made in every audit",
        (Kind.BALANCE_SHORT, Kind.BALANCE_EXCESS),
    ),
    Check(
        CheckId.PROVEN_EVENTS,
        "every event against the headers of the blocks that lead to the audited one",
        "Every event lies in a block from which the audited one descends, and none is left out.",
        "the node does not offer its blocks' receipts, or they do not lead to the audited block",
        (Kind.EVENT_PROOF_FAILS, Kind.PROVEN_EVENTS_DIFFER),
    ),
    Check(
        CheckId.PROVEN_STATE,
        "code, balance and the whole storage, by proof, against what the events give",
        "The contract's state under the audited block's hash is that of the run, whatever the node says.",
        "the node does not offer eth_getProof, or its proofs do not hold",
        (Kind.STATE_PROOF_FAILS, Kind.PROVEN_STATE_DIFFERS),
    ),
)
