"""What the ledger refuses, and what to do about it."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from fl_chain.errors import LedgerReverted
from fl_chain.ledger.abi import ledger_abi, masked_ledger_abi, masks_abi

ADVICE = {
    "AlreadyAdmitted": "Nothing is left to do",
    "AlreadyClaimed": "The reward is paid already",
    "AlreadyObjected": "One objection a submission counts against each posting",
    "AlreadyRegistered": "Nothing is left to do",
    "AlreadySubmitted": "One submission a round counts; wait for the next round",
    "AlreadySuspended": "Nothing is left to do",
    "AmountTooLarge": "Send less at once",
    "Barred": "A posting of this account fell in this round; somebody else has to post it",
    "BelowQuorum": "Leave out fewer submissions, or wait until the round becomes void",
    "BondTooSmall": "Deposit more bond first, or ask less back",
    "ChallengeWindowClosed": "The posting stands for good: the time to challenge it is over",
    "ChunkOutOfBounds": "The run's vectors have fewer chunks, padding included",
    "DeadlineNotPassed": "Wait until the chain's time has passed the deadline",
    "DeadlinePassed": "It came too late for this round; wait for the next one",
    "EndAlreadyAnnounced": "Nothing is left to do",
    "ExcludedFromReward": "The posting left this submission out; its exclusion names the reason",
    "ExclusionsNotAscending": "Name each submission once, in the round's order",
    "ExclusionsTooEarly": "Give the participants time to publish; post without exclusions or wait",
    "GraphNotDrawn": "Draw who shares masks with whom in this round first; anyone may",
    "IndexOutOfBounds": "The round has fewer submissions; read it again",
    "IdentityKeyFixed": "Nothing is left to do",
    "KeyOfLowOrder": "Make another key: with this one a secret would be known to everybody",
    "KeysAlreadySetUp": "Nothing is left to do",
    "KeysClosed": "The time to set up keys is over; wait for the next round",
    "KeysNotClosed": "Wait until everybody expected has set up keys, or their time is over",
    "LaneOutOfBounds": "A chunk has the lanes 0 to 1023",
    "LeafMismatch": "These are not index, weight, sealed root and participant of one submission",
    "MasksOfAnother": "Deploy what holds the masks right before the ledger, from the same account",
    "NoGraphDue": "Wait a block, or until everybody expected has an identity key; or nothing is left to do",
    "NoIdentityKey": "Set an identity key first",
    "NoKeysInRound": "Only who has set up keys in this round can submit to it; wait for the next one",
    "NoRotationPending": "Ask for the rotation first, with the key in use",
    "NoSeeds": "Publish the seeds that the posting rests on first",
    "NotAbsent": "Name every member that did not submit once, ascending",
    "NotAdmitted": "Ask the operator to admit this address",
    "NotFinal": "Wait until the round is final; anyone may call finalize after its challenge window",
    "NotInGraph": "The identity key came after this round's graph was drawn; wait for the next round",
    "NotIncluded": "The posting leaves this submission out, so nothing depends on its lanes",
    "NotOperator": "Sign with the operator's key",
    "NoSuchChallenge": "The run's aggregation rule leaves no such proof; object instead",
    "NotRegistered": "Register first, with the key that the operator admitted",
    "NotRequestedSigner": "Sign with the key that is to take over",
    "NotTheVertex": "Give the set-up of the neighbour that the term is shared with",
    "NotTheLedger": "Only the ledger may call this",
    "NotYourTurn": "The named aggregator posts first; wait until others may",
    "NothingIncluded": "A posting includes one submission at least",
    "NothingToFinalize": "No round's challenge window has ended; try again later",
    "NothingToWithdraw": "Nothing is due; what was asked back waits for the unbonding time",
    "NothingWrong": "The proof holds, and what it shows is right",
    "ParticipantSuspendedFrom": "The operator has suspended this participant; ask it why",
    "PathMismatch": "The chunk is not part of the vector that was committed to; read its blob again",
    "PolicyOutOfBounds": "Change this constant of the policy; its bounds stand in the interface",
    "PoolTooSmall": "Fund the pool: the next round's rewards are reserved before it opens",
    "PrivacyBudgetSpent": "The run ends here: one more round would give away more than its policy allows",
    "RotationNotDue": "Wait until the chain's time has reached it",
    "RoundInProgress": "The next round opens when this one is posted or void",
    "RunEnded": "No further round opens",
    "RunNotEnded": "Wait until the last round is settled; anyone may call finalize",
    "SignerTaken": "Choose a key that no participant uses",
    "SurvivorsAlreadyFixed": "Nothing is left to do",
    "SurvivorsNotFixed": "Fix who stays in the round's sum first",
    "SuspensionPending": "Wait until the open round has closed",
    "TooFewParticipants": "More participants have to register",
    "TooFewGroups": "More than half of the groups have to stay; wait until the round becomes void",
    "TooFewOfGroup": "Leave out by rule the whole group, since a sum of so few gives them away",
    "TooFewSurvivors": "A sum of so few gives them away; wait until the round becomes void",
    "TooManyParticipants": "No further participant fits this run",
    "TooManyTerms": "Too many have dropped out to be unmasked; wait until the round becomes void",
    "TooManyUnfinalRounds": "Finalize rounds first; anyone may after their challenge windows",
    "TotalWeightExceeded": "The round is full; wait for the next one, and ask the operator to lower the caps",
    "TransferFailed": "The receiver refuses the money; name another payout address",
    "UnknownReason": "Reasons are 1 unreadable, 2 out of range, 3 by rule",
    "WeightCapOutOfBounds": "Choose a cap from 1 to the highest, which is 1 where the rule weighs all alike",
    "WeightOutOfBounds": "Declare a weight from 1 to this participant's cap",
    "WrongBaseModel": "The round starts from another model; read it again and train from that one",
    "WrongDeparted": "Give the exclusions and absentees as the survivors were fixed",
    "WrongDigest": "The round's submissions are not those that were read; read it again",
    "WrongLength": "Give as many as follow from the run's dimension and the round's submissions",
    "WrongMember": "Give the set-up of the participant that the proof is about",
    "WrongModel": "Another posting stands by now; read the round again",
    "WrongPartialSumCount": "The list has one root for each partial sum of the round's submissions",
    "WrongPartialSums": "Give the posted list as the standing posting's event has it",
    "WrongPayment": "Exactly the amount that the call names has to arrive, in the run's coin; "
    "a token that keeps a fee of its transfers is refused",
    "WrongRing": "Give the digests of all set-ups of the round, in their order",
    "WrongRoots": "Give a result or a state root exactly where the run's aggregation rule has one",
    "WrongSeedCount": "One seed of each member, survivors first",
    "WrongSeeds": "Give the seeds that the standing posting's poster published last",
    "WrongStatus": "The round has moved on, or does not exist; read it again",
    "ZeroAddress": "Give an address other than zero",
    "ReentrancyGuardReentrantCall": "A receiver called back into the ledger; name another payout address",
    "SafeERC20FailedOperation": "The token refused the transfer; check balance and allowance",
}


def decode_revert(data: bytes) -> LedgerReverted | None:
    """Return the custom error in a revert's data; None where it is none of the ledger's."""
    selector = data[:4]
    error = next(
        (
            abi.errors[selector]
            for abi in (ledger_abi(), masked_ledger_abi(), masks_abi())
            if selector in abi.errors
        ),
        None,
    )
    if error is None:
        return None
    try:
        values: tuple[Any, ...] = decode(error.types, data[4:])
    except DecodingError:
        return None
    shown = ("0x" + value.hex() if isinstance(value, bytes) else value for value in values)
    return LedgerReverted(error.name, dict(zip(error.fields, shown, strict=True)), ADVICE.get(error.name, ""))
