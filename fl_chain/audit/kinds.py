"""Every kind of finding: its stable name, how much it weighs, the rule that it breaks, and what to do.

An error fails the verdict. A warning never does: it is something that a person should look at, and may
have an innocent reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Severity(StrEnum):
    """What a finding means for the verdict."""

    ERROR = "error"  # a rule is broken: the verdict is fail
    WARNING = "warning"  # a person should look; never proof of anything


class Kind(StrEnum):
    """The stable names of what can be found."""

    POLICY_MISSING = "policy_missing"
    POLICY_ALTERED = "policy_altered"
    POLICY_DIFFERS = "policy_differs"
    MANIFEST_MISSING = "manifest_missing"
    MANIFEST_ALTERED = "manifest_altered"
    DIMENSION_DIFFERS = "dimension_differs"
    GENESIS_MISSING = "genesis_missing"
    GENESIS_ALTERED = "genesis_altered"
    STATE_DIFFERS = "state_differs"
    EVENT_DIFFERS = "event_differs"
    OUT_OF_ORDER = "out_of_order"
    SEED_DIFFERS = "seed_differs"
    DIGEST_DIFFERS = "digest_differs"
    WEIGHT_OVER_CAP = "weight_over_cap"
    LATE_SUBMISSION = "late_submission"
    UPDATE_MISSING = "update_missing"
    UPDATE_ALTERED = "update_altered"
    UPDATE_OUT_OF_RANGE = "update_out_of_range"
    WRONGFUL_EXCLUSION = "wrongful_exclusion"
    OUTSIDER_INCLUDED = "outsider_included"
    TOTAL_WEIGHT_DIFFERS = "total_weight_differs"
    PARTIAL_SUM_DIFFERS = "partial_sum_differs"
    SUM_BLOB_MISSING = "sum_blob_missing"
    SUM_BLOB_ALTERED = "sum_blob_altered"
    MODEL_DIFFERS = "model_differs"
    MODEL_BLOB_MISSING = "model_blob_missing"
    MODEL_BLOB_ALTERED = "model_blob_altered"
    MODEL_UNDERIVABLE = "model_underivable"
    SELECTION_DIFFERS = "selection_differs"
    SELECTION_UNDERIVABLE = "selection_underivable"
    RESULT_DIFFERS = "result_differs"
    RULE_STATE_DIFFERS = "rule_state_differs"
    RULE_STATE_BLOB_MISSING = "rule_state_blob_missing"
    RULE_STATE_BLOB_ALTERED = "rule_state_blob_altered"
    FALL_UNFOUNDED = "fall_unfounded"
    REWARD_DIFFERS = "reward_differs"
    REWARD_UNFOUNDED = "reward_unfounded"
    MONEY_UNACCOUNTED = "money_unaccounted"
    BALANCE_SHORT = "balance_short"
    NODE_BLOCK_DIFFERS = "node_block_differs"
    NODE_CODE_DIFFERS = "node_code_differs"
    NODE_EVENTS_DIFFER = "node_events_differ"
    NODE_STATE_DIFFERS = "node_state_differs"
    EVENT_PROOF_FAILS = "event_proof_fails"
    PROVEN_EVENTS_DIFFER = "proven_events_differ"
    STATE_PROOF_FAILS = "state_proof_fails"
    PROVEN_STATE_DIFFERS = "proven_state_differs"
    SHARES_ALTERED = "shares_altered"
    MASK_SEED_DIFFERS = "mask_seed_differs"
    MASK_TERM_DIFFERS = "mask_term_differs"
    ROUND_SPOILT = "round_spoilt"
    UPDATE_UNMASKED = "update_unmasked"
    UPDATE_OPEN = "update_open"
    UPDATE_UNENCRYPTED = "update_unencrypted"
    # Warnings from here on.
    EXCLUDED_BUT_READABLE = "excluded_but_readable"
    UPDATE_ZERO = "update_zero"
    UPDATE_COPIED = "update_copied"
    UPDATE_REPEATED = "update_repeated"
    UPDATE_NEARLY_COPIED = "update_nearly_copied"
    NORM_OUTLIER = "norm_outlier"
    DIRECTION_OUTLIER = "direction_outlier"
    LANES_CLAMPED = "lanes_clamped"
    FALL_UNVERIFIABLE = "fall_unverifiable"
    REJECTED_THOUGH_RIGHT = "rejected_though_right"
    POSTING_OBJECTED = "posting_objected"
    CHALLENGE_POSSIBLE = "challenge_possible"
    CHALLENGE_MISSED = "challenge_missed"
    BALANCE_EXCESS = "balance_excess"
    SHARES_MISSING = "shares_missing"
    RELEASE_ALTERED = "release_altered"
    MASKS_LEFT_ON = "masks_left_on"
    GROUP_SPOILT = "group_spoilt"
    PARTICIPANT_SPOILS = "participant_spoils"
    OPENING_DIFFERS = "opening_differs"
    SIGNED_BLOB_ALTERED = "signed_blob_altered"
    SUM_LEFT_CLOSED = "sum_left_closed"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind of finding stands for."""

    severity: Severity
    text: str  # one sentence: what has to be so
    page: str  # where it is laid down, as page and heading under docs/
    advice: str  # what a person should do; a finding can say it more closely


_ANOTHER_NODE = (
    "The contract cannot have done this: the node lies, or is broken. Audit against another node, and trust "
    "nothing that this one says."
)
_ASK_HOLDER = (
    "Ask whoever should hold it, as listed under missing blobs, to publish it again; then audit again."
)
_REPLACE = (
    "Replace this copy by a good one from another store or from whoever should hold it; then audit again."
)
_WRONG_MODEL = "Do not use this model or any that is built on it."
_THIRD_NODE = "Ask a third node: one of the two lies, or is on a branch that the chain has left."

_CONTRACT_STEPS = "contract.md#calls-by-status"
_HASHES = "formats.md#hashes"
_BLOBS = "formats.md#blobs"
_RULES = "rules.md#what-a-kind-means"
_COHORTS = "algorithms.md#cohorts"
_NUMBERS = "formats.md#numbers"
_MONEY = "contract.md#money"
_FIGURES = "report.md#figures-of-updates"
_NODES = "audit.md#two-nodes"
_PROOFS = "audit.md#proofs"
_ARITHMETIC = "challenges.md#the-three-proofs"
_BEYOND = "challenges.md#what-arithmetic-cannot-show"
_FALLS = "challenges.md#what-follows"
_MASKS = "secure-aggregation.md#a-masked-round"
_SECRECY = "secure-aggregation.md#what-it-hides-and-from-whom"
_SPOILT = "secure-aggregation.md#a-spoilt-round"
_ENCRYPTED = "homomorphic-encryption.md#a-round"
_READABLE = "homomorphic-encryption.md#what-it-hides-from-whom"


def _error(text: str, page: str, advice: str) -> Rule:
    return Rule(Severity.ERROR, text, page, advice)


def _warning(text: str, page: str, advice: str) -> Rule:
    return Rule(Severity.WARNING, text, page, advice)


RULES: Mapping[Kind, Rule] = MappingProxyType(
    {
        Kind.POLICY_MISSING: _error(
            "The policy document that the ledger names by its SHA-256 can be read by everybody.",
            _BLOBS,
            "Ask the operator to publish the policy document again; then audit again.",
        ),
        Kind.SHARES_ALTERED: _error(
            "Every copy of a participant's sealed shares has the hash that the ledger has.", _MASKS, _REPLACE
        ),
        Kind.MASK_SEED_DIFFERS: _error(
            "Every seed that a posting rests on is the one that its owner committed to.", _MASKS, _WRONG_MODEL
        ),
        Kind.MASK_TERM_DIFFERS: _error(
            "Every term that a posting lists is the mask that its seed gives.", _MASKS, _WRONG_MODEL
        ),
        Kind.ROUND_SPOILT: _error(
            "A posted sum is one of updates: nobody has masked with something else than it said.",
            _SPOILT,
            "Do not use this model or any that is built on it; find out who it was, and suspend it.",
        ),
        Kind.UPDATE_UNMASKED: _error(
            "In a masked run every update is published under masks.",
            _SECRECY,
            "Tell the participant: whoever has read the store has its update, and its worker does not mask.",
        ),
        Kind.UPDATE_OPEN: _error(
            "Of the two seeds of a participant's masks one is published at most.",
            _SECRECY,
            "Tell the participant that its update of this round is known, and ask who released which shares.",
        ),
        Kind.UPDATE_UNENCRYPTED: _error(
            "In an encrypted run every update in the store is a ciphertext that only the cohort's key opens.",
            _READABLE,
            "Tell the participant: whoever has read the store may have its update. The round ends without a "
            "model.",
        ),
        Kind.OPENING_DIFFERS: _warning(
            "Everybody who opens the sum of a round's ciphertexts finds the same, and signs it.",
            _ENCRYPTED,
            "Ask that participant: its worker has another key or is broken, or it lies about the sum. Who "
            "holds the key opens it again: `fl-chain audit --cohort-key`.",
        ),
        Kind.SIGNED_BLOB_ALTERED: _warning(
            "The keys and endorsements of an encrypted run's members are signed by their authors.",
            _ENCRYPTED,
            "Somebody else wrote it, or its author's key was rotated since; members take nothing that is not "
            "signed.",
        ),
        Kind.SUM_LEFT_CLOSED: _warning(
            "An encrypted round that closed is posted in time.",
            _ENCRYPTED,
            "The run goes on without the round; where it happens again, the detail names what to look for.",
        ),
        Kind.SHARES_MISSING: _warning(
            "A participant's sealed shares can be read for as long as its round may have to be unmasked.",
            _MASKS,
            "Where the round is posted nothing depends on them any more; else ask the participant.",
        ),
        Kind.RELEASE_ALTERED: _warning(
            "Released shares are signed by who released them.",
            _MASKS,
            "Somebody else wrote them, or its key was rotated since; nothing was unmasked with them unseen.",
        ),
        Kind.MASKS_LEFT_ON: _warning(
            "A masked round that closed is posted in time.",
            _SPOILT,
            "The run goes on without the round; where it happens again, the detail names what to look for.",
        ),
        Kind.GROUP_SPOILT: _warning(
            "The sum of a group is one of updates: nobody of it has masked with something else than it said.",
            _SPOILT,
            "The rule took the other groups alone; workers find out in the next rounds who of them it was.",
        ),
        Kind.PARTICIPANT_SPOILS: _warning(
            "A participant masks its updates as the keys say that it set up.",
            _SPOILT,
            "Ask it what its worker does, and suspend it: `fl-chain operator suspend`.",
        ),
        Kind.POLICY_ALTERED: _error(
            "Every copy of the policy document has the SHA-256 that the ledger fixed.", _BLOBS, _REPLACE
        ),
        Kind.POLICY_DIFFERS: _error(
            "The policy document's integers are the contract's constants.",
            _HASHES,
            "The contract's constants are in force. Ask the operator why it published another policy, and "
            "every participant which one it agreed to.",
        ),
        Kind.MANIFEST_MISSING: _error(
            "The manifest that the ledger names by its SHA-256 can be read by everybody.",
            _BLOBS,
            "Ask the operator to publish the manifest again; then audit again.",
        ),
        Kind.MANIFEST_ALTERED: _error(
            "Every copy of the manifest has the SHA-256 that the ledger fixed.", _BLOBS, _REPLACE
        ),
        Kind.DIMENSION_DIFFERS: _error(
            "The manifest's tensors fill the contract's vectors exactly.",
            _NUMBERS,
            "The run cannot train the model that its manifest describes: ask the operator for another "
            "deployment.",
        ),
        Kind.GENESIS_MISSING: _error(
            "The genesis model that the ledger names by its root can be read by everybody.",
            _BLOBS,
            "Ask the operator to publish the genesis model again; without it no model can be derived.",
        ),
        Kind.GENESIS_ALTERED: _error(
            "Every copy of the genesis model has the root that the ledger fixed.", _BLOBS, _REPLACE
        ),
        Kind.STATE_DIFFERS: _error(
            "What the contract says of itself is what its events give.", _CONTRACT_STEPS, _ANOTHER_NODE
        ),
        Kind.EVENT_DIFFERS: _error(
            "Every field of an event is what the events before it and its block give.",
            _CONTRACT_STEPS,
            _ANOTHER_NODE,
        ),
        Kind.OUT_OF_ORDER: _error(
            "Every step comes in its order, from whom may take it, and within its deadlines.",
            _CONTRACT_STEPS,
            _ANOTHER_NODE,
        ),
        Kind.SEED_DIFFERS: _error(
            "A round's seed is the SHA-256 of its closing block's randomness and its digest; that of its "
            "graph, of the randomness of the block that drew it, the contract and the round.",
            _HASHES,
            _ANOTHER_NODE,
        ),
        Kind.DIGEST_DIFFERS: _error(
            "A round's digest is the fold of its submissions' leaves, in their order.",
            _HASHES,
            _ANOTHER_NODE,
        ),
        Kind.WEIGHT_OVER_CAP: _error(
            "A submission's weight is at least 1 and at most its participant's cap at that time.",
            _NUMBERS,
            _ANOTHER_NODE,
        ),
        Kind.LATE_SUBMISSION: _error(
            "A submission comes before its round's deadline.", _CONTRACT_STEPS, _ANOTHER_NODE
        ),
        Kind.UPDATE_MISSING: _error(
            "An included update can be read by everybody, for as long as audits are wanted.",
            _BLOBS,
            _ASK_HOLDER,
        ),
        Kind.UPDATE_ALTERED: _error(
            "Every copy of an included update opens its sealed root.", _BLOBS, _REPLACE
        ),
        Kind.UPDATE_OUT_OF_RANGE: _error(
            "Every lane of an included update is within clip_lanes times weight, zero past the dimension.",
            _ARITHMETIC,
            _WRONG_MODEL,
        ),
        Kind.WRONGFUL_EXCLUSION: _error(
            "An update is left out only where it cannot be read, is out of range, or the rule says so.",
            _BEYOND,
            "Ask the aggregator why it left the update out. While the round is not final, its submitters "
            "can reject the posting: `fl-chain object --round N`.",
        ),
        Kind.OUTSIDER_INCLUDED: _error(
            "A posting includes only participants who were drawn for the round.",
            _COHORTS,
            "Object to the posting while it can fall: `fl-chain object --round N`; do not use its model.",
        ),
        Kind.TOTAL_WEIGHT_DIFFERS: _error(
            "A posting's weight and number are those of the submissions that it includes.",
            _NUMBERS,
            _ANOTHER_NODE,
        ),
        Kind.PARTIAL_SUM_DIFFERS: _error(
            "Every posted partial sum is the sum of what it covers, lane by lane, modulo 2^32.",
            _ARITHMETIC,
            _WRONG_MODEL,
        ),
        Kind.SUM_BLOB_MISSING: _error(
            "The chunk hashes of every posted partial sum can be read by everybody.", _BLOBS, _ASK_HOLDER
        ),
        Kind.SUM_BLOB_ALTERED: _error(
            "Every copy of a partial sum's chunk hashes has the posted root.", _BLOBS, _REPLACE
        ),
        Kind.MODEL_DIFFERS: _error(
            "A posted model is what applying the round's sum to the model that it started from gives.",
            _ARITHMETIC,
            _WRONG_MODEL,
        ),
        Kind.MODEL_BLOB_MISSING: _error(
            "Every model that stands can be read by everybody.",
            _BLOBS,
            "Ask the aggregator that posted it to publish it again, or derive it from the round's updates.",
        ),
        Kind.MODEL_BLOB_ALTERED: _error("Every copy of a model has the posted root.", _BLOBS, _REPLACE),
        Kind.MODEL_UNDERIVABLE: _error(
            "Every model that stands can be derived again from its base and its round's updates.",
            "architecture.md#what-is-proven-and-what-is-not",
            "Have the missing blobs that are listed published again, then audit again. Until then this model "
            "rests on the aggregator's word.",
        ),
        Kind.SELECTION_DIFFERS: _error(
            "A posting leaves out by rule exactly what the run's rule leaves out.",
            _RULES,
            "Object to the posting while it can fall: `fl-chain object --round N`; do not use its model.",
        ),
        Kind.SELECTION_UNDERIVABLE: _error(
            "Every update that the run's rule chose from can be read by everybody.", _RULES, _ASK_HOLDER
        ),
        Kind.RESULT_DIFFERS: _error(
            "A posted result is what the run's rule makes of the round's updates.",
            _RULES,
            "Object to the posting while it can fall: `fl-chain object --round N`; do not use its model.",
        ),
        Kind.RULE_STATE_DIFFERS: _error(
            "A posted state is what the run's rule makes of the one before and of the round's sum.",
            _RULES,
            "Object to the posting while it can fall: `fl-chain object --round N`; do not use its model.",
        ),
        Kind.RULE_STATE_BLOB_MISSING: _error(
            "What the run's rule carries from round to round can be read by everybody.", _BLOBS, _ASK_HOLDER
        ),
        Kind.RULE_STATE_BLOB_ALTERED: _error(
            "Every copy of what the run's rule carries on has the root that was posted.", _BLOBS, _REPLACE
        ),
        Kind.FALL_UNFOUNDED: _error(
            "A posting falls only by a proof that holds, or by more than half of its round's submitters.",
            _FALLS,
            _ANOTHER_NODE,
        ),
        Kind.REWARD_DIFFERS: _error(
            "Rewards, bonuses, dust and lost bonds are what the policy gives.", _MONEY, _ANOTHER_NODE
        ),
        Kind.REWARD_UNFOUNDED: _error(
            "A reward is paid once, and only for a submission that earned it.", _MONEY, _ANOTHER_NODE
        ),
        Kind.MONEY_UNACCOUNTED: _error(
            "What came in is what was paid out and what is still held, for the pool and for every account.",
            _MONEY,
            _ANOTHER_NODE,
        ),
        Kind.BALANCE_SHORT: _error(
            "The contract holds at least what it owes.",
            _MONEY,
            "Submit nothing more, withdraw what is due, and ask every participant to compare.",
        ),
        Kind.NODE_BLOCK_DIFFERS: _error("Two nodes of one chain have the same block.", _NODES, _THIRD_NODE),
        Kind.NODE_CODE_DIFFERS: _error(
            "Two nodes of one chain have the same code at an address.", _NODES, _THIRD_NODE
        ),
        Kind.NODE_EVENTS_DIFFER: _error("Two nodes of one chain show the same events.", _NODES, _THIRD_NODE),
        Kind.NODE_STATE_DIFFERS: _error(
            "Two nodes of one chain show the same state of a contract.", _NODES, _THIRD_NODE
        ),
        Kind.EVENT_PROOF_FAILS: _error(
            "The headers, transactions and receipts that a node shows lead to the hash of the audited block.",
            _PROOFS,
            _ANOTHER_NODE,
        ),
        Kind.PROVEN_EVENTS_DIFFER: _error(
            "The events that a node tells of are those that lie in its blocks, no more and no fewer.",
            _PROOFS,
            _ANOTHER_NODE,
        ),
        Kind.STATE_PROOF_FAILS: _error(
            "The proofs of the contract's state lead to the state root of the audited block.",
            _PROOFS,
            _ANOTHER_NODE,
        ),
        Kind.PROVEN_STATE_DIFFERS: _error(
            "The contract's state, proven against the hash of the audited block, is what its events give.",
            _PROOFS,
            _ANOTHER_NODE,
        ),
        Kind.EXCLUDED_BUT_READABLE: _warning(
            "An update is left out as unreadable only where it was not published in time.",
            _BEYOND,
            "Ask the participant when it published, and the aggregator what it saw: a late upload could "
            "frame the aggregator, and an aggregator could leave out whom it likes.",
        ),
        Kind.UPDATE_ZERO: _warning(
            "An update changes the model.", _FIGURES, "Ask whether that participant trained."
        ),
        Kind.UPDATE_COPIED: _warning(
            "No two participants submit the same vector.",
            _FIGURES,
            "Ask both how they came by it: one of them may not have trained.",
        ),
        Kind.UPDATE_REPEATED: _warning(
            "No participant submits the vector of an earlier round again.",
            _FIGURES,
            "Ask that participant whether it trained in both rounds.",
        ),
        Kind.UPDATE_NEARLY_COPIED: _warning(
            "No update points exactly where another does.",
            _FIGURES,
            "Ask both how they trained: a rescaled or negated copy looks like this.",
        ),
        Kind.NORM_OUTLIER: _warning(
            "The updates of a round are about equally long for their weight.",
            _FIGURES,
            "Ask that participant what its data are: a boosted update is long, an untrained one short.",
        ),
        Kind.DIRECTION_OUTLIER: _warning(
            "The updates of a round point about the same way.",
            _FIGURES,
            "Ask that participant what its data are: unusual data and a poisoned update both look like this.",
        ),
        Kind.LANES_CLAMPED: _warning(
            "Hardly a parameter of the model reaches the limits of its 32 bits.",
            _NUMBERS,
            "The model cannot move beyond these parameters' limits: look at its training, and choose fewer "
            "fraction bits for the next run.",
        ),
        Kind.FALL_UNVERIFIABLE: _warning(
            "What a challenge showed can be derived again.",
            _FALLS,
            "Whether the challenge was right rests on the contract's word, which decided it by arithmetic. "
            "Have the missing blob published again to see for yourself.",
        ),
        Kind.REJECTED_THOUGH_RIGHT: _warning(
            "The submitters reject a posting only where they can neither derive it nor prove it wrong.",
            _BEYOND,
            "Ask those who objected why: the blobs may have been withheld then, or the objections were "
            "against an aggregator and not against its sums.",
        ),
        Kind.POSTING_OBJECTED: _warning(
            "A posting that stands is one that nobody objects to.",
            _BEYOND,
            "Ask those who objected what they could not derive; more than half of the round's submitters "
            "take the posting down.",
        ),
        Kind.CHALLENGE_POSSIBLE: _warning(
            "A wrong posting is taken down before it becomes final.",
            _ARITHMETIC,
            "Take it down now: `fl-chain challenge --round N`.",
        ),
        Kind.CHALLENGE_MISSED: _warning(
            "A wrong posting is taken down before it becomes final.",
            _ARITHMETIC,
            "Ask who was to watch the run why nobody challenged in time, and run `fl-chain watch` from now.",
        ),
        Kind.BALANCE_EXCESS: _warning(
            "The contract holds no more than it owes.",
            _MONEY,
            "Somebody sent money past the contract's calls; nothing can take it out. Nobody is owed less.",
        ),
    }
)
