"""Which checks cover which fact: every field of every event, everything that the contract stores, every blob.

Names are those of ITrainingLedger.sol, so that a new event or a new stored field without a check is found by
comparing this table with the contract's own description.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fl_chain.audit.checks import CheckId as C

Checks = tuple[C, ...]

_LEDGER = (C.EVENT_ORDER, C.CONTRACT_STATE)
_FIELD = (C.EVENT_FIELDS, C.CONTRACT_STATE)
_MONEY = (C.EVENT_FIELDS, C.CONTRACT_STATE, C.CONSERVATION)
_STATE = (C.CONTRACT_STATE,)

EVENTS: Mapping[str, Mapping[str, Checks]] = MappingProxyType(
    {
        "RunDeployed": {
            "operator": _STATE,
            "aggregator": _LEDGER,
            "token": (C.CONTRACT_STATE, C.BALANCE),
            "definition": (C.CONTRACT_STATE, C.POLICY_DOCUMENT, C.MANIFEST, C.BLOB_COPIES),
            "policy": (C.CONTRACT_STATE, C.POLICY_DOCUMENT),
        },
        # Who paid, and where the rest went, is in no rule and nowhere stored: only another node can differ.
        "PoolFunded": {"from": (C.NODES,), "amountWei": (C.CONTRACT_STATE, C.CONSERVATION)},
        "EndAnnounced": {"endsAfter": _FIELD, "endsAt": _FIELD},
        "PoolWithdrawn": {"to": (C.NODES,), "amountWei": _MONEY},
        "AggregatorNamed": {"aggregator": _FIELD},
        "ParticipantAdmitted": {"participant": _LEDGER, "weightCap": (*_LEDGER, C.SUBMISSIONS)},
        "ParticipantRegistered": {"participant": _LEDGER, "payout": _STATE, "depositWei": _MONEY},
        "ParticipantSuspended": {"participant": _LEDGER, "fromRound": _FIELD},
        "ParticipantLeft": {"participant": _LEDGER, "depositWei": _MONEY},
        "PayoutChanged": {"participant": _LEDGER, "payout": _LEDGER},
        "SignerRotationRequested": {
            "participant": _LEDGER,
            "signer": (
                C.EVENT_ORDER,
                C.NODES,
            ),  # no view shows what waits; what comes of it has its own event
            "effectiveAt": (C.EVENT_FIELDS,),
        },
        "SignerRotated": {"participant": _LEDGER, "previousSigner": _FIELD, "signer": _FIELD},
        "RoundOpened": {
            "round": _LEDGER,
            "baseRound": (*_FIELD, C.MODELS),
            "baseModelRoot": (C.ROUND_DIGESTS, C.MODELS),
            "step": _FIELD,
            "deadline": _FIELD,
            "expected": _FIELD,
        },
        "UpdateSubmitted": {
            "round": _LEDGER,
            "participant": (C.EVENT_ORDER, C.CONTRACT_STATE, C.ROUND_DIGESTS),
            "index": (C.CONTRACT_STATE, C.ROUND_DIGESTS),
            "weight": (C.SUBMISSIONS, C.CONTRACT_STATE, C.ROUND_DIGESTS, C.UPDATE_BOUNDS),
            "sealedRoot": (C.CONTRACT_STATE, C.ROUND_DIGESTS, C.BLOB_COPIES),
        },
        "RoundClosed": {
            "round": _LEDGER,
            "digest": (*_FIELD, C.ROUND_DIGESTS),
            "seed": (C.SEEDS,),
            "submissions": _FIELD,
            "totalWeight": _FIELD,
            "returning": _FIELD,
        },
        "RoundPosted": {
            "round": _LEDGER,
            "postingNumber": _FIELD,
            "poster": (*_LEDGER, C.CONSERVATION),
            "modelRoot": (C.CONTRACT_STATE, C.MODELS, C.BLOB_COPIES),
            "resultRoot": (C.EVENT_FIELDS, C.RESULTS),
            "stateRoot": (C.EVENT_FIELDS, C.RESULTS),
            "included": (C.INCLUDED_WEIGHTS, C.CONTRACT_STATE),
            "includedWeight": (C.INCLUDED_WEIGHTS, C.CONTRACT_STATE, C.MODELS),
            "finalizableAt": (*_FIELD, C.EVENT_ORDER),
            "exclusions": (C.EVENT_ORDER, C.EVENT_FIELDS, C.CONTRACT_STATE, C.EXCLUSIONS, C.COHORTS),
            "partialSumRoots": (C.EVENT_FIELDS, C.CONTRACT_STATE, C.PARTIAL_SUMS, C.BLOB_COPIES),
        },
        "PostingFell": {
            "round": _LEDGER,
            "postingNumber": _STATE,
            "poster": (C.CONTRACT_STATE, C.CONSERVATION),
            "challenger": (C.EVENT_ORDER, C.CONTRACT_STATE, C.CONSERVATION),
            "reason": (C.EVENT_ORDER, C.CHALLENGES, C.OBJECTIONS),
            "challengeRewardWei": (C.LOST_BONDS, C.CONTRACT_STATE, C.CONSERVATION),
            "bonusWei": (C.LOST_BONDS, C.CONTRACT_STATE, C.CONSERVATION),
        },
        "PostingObjected": {
            "round": (*_LEDGER, C.OBJECTIONS),
            "postingNumber": (C.CONTRACT_STATE, C.OBJECTIONS),
            "participant": (*_LEDGER, C.OBJECTIONS),
            "objections": (C.CONTRACT_STATE, C.OBJECTIONS),
        },
        "RoundVoided": {"round": _LEDGER, "reason": (C.EVENT_ORDER,)},
        "VoidRoundSettled": {"round": _FIELD},
        "RoundFinalized": {
            "round": _LEDGER,
            "rewardWei": (C.ROUND_REWARDS, C.CONSERVATION),
            "aggregatorRewardWei": (C.ROUND_REWARDS, C.CONTRACT_STATE, C.CONSERVATION),
            "dustWei": (C.ROUND_REWARDS, C.CONTRACT_STATE, C.CONSERVATION),
        },
        "BondDeposited": {"account": _STATE, "amountWei": (C.CONTRACT_STATE, C.CONSERVATION)},
        "BondRequested": {"account": _LEDGER, "amountWei": _LEDGER, "releasableAt": _FIELD},
        "Withdrawn": {"account": _FIELD, "to": (C.EVENT_FIELDS,), "amountWei": _MONEY},
        "RewardClaimed": {
            "round": (C.EVENT_ORDER, C.CLAIMS, C.CONTRACT_STATE),
            "participant": (C.CLAIMS, C.CONTRACT_STATE),
            "to": (C.EVENT_FIELDS,),
            "amountWei": (C.CLAIMS, C.CONSERVATION),
        },
    }
)

# Names are those of ISecureAggregation.sol.
MASK_EVENTS: Mapping[str, Mapping[str, Checks]] = MappingProxyType(
    {
        "IdentityKeySet": {"participant": _LEDGER, "key": _STATE},
        "GraphDrawn": {
            "round": _LEDGER,
            "vertices": _FIELD,
            "reach": _FIELD,
            "seed": (C.SEEDS, C.CONTRACT_STATE),
        },
        "KeysSetUp": {
            "round": _LEDGER,
            "participant": _LEDGER,
            "index": _FIELD,
            "roundKey": (C.CONTRACT_STATE, C.MASKS),
            "keyCommitment": (C.CONTRACT_STATE, C.MASKS),
            "maskCommitment": (C.CONTRACT_STATE, C.MASKS),
            "sharesHash": (C.CONTRACT_STATE, C.BLOB_COPIES),
        },
        "SurvivorsFixed": {
            "round": _LEDGER,
            "by": (C.EVENT_ORDER,),
            "survivors": _FIELD,
            "terms": _FIELD,
            "exclusions": (C.EVENT_ORDER, C.EVENT_FIELDS, C.CONTRACT_STATE, C.EXCLUSIONS),
            "absentees": _FIELD,
        },
        "SeedsPublished": {
            "round": _LEDGER,
            "by": (C.CONTRACT_STATE,),
            "seeds": (C.CONTRACT_STATE, C.MASKS, C.SECRECY),
        },
    }
)

# What each view returns is compared field by field, so a view is covered where it is read.
VIEWS: Mapping[str, Checks] = MappingProxyType(
    {
        "accountOf": (C.CONTRACT_STATE, C.CONSERVATION),
        "bonusOf": _STATE,
        "definition": _STATE,
        "digestOf": (C.CONTRACT_STATE, C.ROUND_DIGESTS),
        "hasEnded": _STATE,
        "hasObjected": (C.CONTRACT_STATE, C.OBJECTIONS),
        "identityOf": _STATE,
        "isBarred": _STATE,
        "isClaimed": (C.CONTRACT_STATE, C.CLAIMS),
        "isExcluded": (C.CONTRACT_STATE, C.EXCLUSIONS),
        "leafOf": _STATE,
        "modelRootOf": (C.CONTRACT_STATE, C.MODELS),
        "objectionsTo": (C.CONTRACT_STATE, C.OBJECTIONS),
        "operator": _STATE,
        "participantOf": (C.CONTRACT_STATE, C.CONSERVATION),
        "policy": (C.CONTRACT_STATE, C.POLICY_DOCUMENT),
        "postingOf": _STATE,
        "roundOf": _STATE,
        "runState": _STATE,
        "sumsHashOf": (C.CONTRACT_STATE, C.PARTIAL_SUMS),
        "token": _STATE,
        "verifier": (C.CODE,),
    }
)

MASK_VIEWS: Mapping[str, Checks] = MappingProxyType(
    {
        "groups": (C.CODE, C.POLICY_DOCUMENT),
        "identityKeyOf": _STATE,
        "keyRingOf": _STATE,
        "ledger": (C.CODE,),
        "ringDigestOf": _STATE,
        "seedsHashOf": (C.CONTRACT_STATE, C.MASKS),
        "setUpHash": (C.CODE,),
        "survivorsOf": _STATE,
    }
)

MASK_BLOBS: Mapping[str, Checks] = MappingProxyType(
    {
        "setups": (C.CONTRACT_STATE,),  # what counts of them is on the ledger
        "shares": (C.BLOB_COPIES,),
        "releases": (C.BLOB_COPIES, C.SECRECY),
    }
)

ENCRYPTION_BLOBS: Mapping[str, Checks] = MappingProxyType(
    {
        "identities": (C.BLOB_COPIES,),
        "cohort-keys": (C.BLOB_COPIES,),
        "sealed-keys": (C.BLOB_COPIES,),
        "endorsements": (C.BLOB_COPIES,),
        "openings": (C.OPENINGS,),
    }
)

BLOBS: Mapping[str, Checks] = MappingProxyType(
    {
        "updates": (C.BLOB_COPIES, C.UPDATE_BOUNDS, C.EXCLUSIONS, C.UPDATE_FIGURES, C.PARTIAL_SUMS),
        "sums": (C.BLOB_COPIES,),
        "states": (C.BLOB_COPIES, C.RESULTS),
        "models": (C.BLOB_COPIES, C.MODELS, C.CLAMPED_LANES),
        "documents": (C.BLOB_COPIES, C.POLICY_DOCUMENT, C.MANIFEST),
    }
)
