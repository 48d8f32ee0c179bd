"""The contract's rules, each with the place in its source where it can be switched off.

One instrumented contract has a switch at every rule (mutant schemata, Untch et al. 1993): a bit that is set
takes the rule out, and with no bit set it behaves as the shipped one. So one compilation serves every rule
and every combination of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LEDGER, VERIFIER, MASKS = "TrainingLedger.sol", "ChallengeVerifier.sol", "SecureAggregation.sol"
MASK_CHALLENGES = "MaskChallenges.sol"
GUARD = "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol"

_CONDITION = re.compile(r"^if \((?P<condition>.*?)\) (?P<rest>revert\b|break;|\{)", re.DOTALL)
_SWITCH = re.compile(r"ON\(([a-z-]+)\)")


@dataclass(frozen=True, slots=True)
class Edit:
    """One place in a source: the text there, and what stands there instead; ``ON(rule)`` is a switch."""

    unit: str
    old: str
    new: str


def _check(name: str, old: str, unit: str = LEDGER) -> Edit:
    """Return the edit of a rule that is an ``if``: switched off, its condition never holds."""
    found = _CONDITION.match(old)
    if found is None:
        raise ValueError(f"{name} is no condition: {old}")
    new = f"if (ON({name}) && ({found['condition']})) {old[found.start('rest') :]}"
    return Edit(unit, old, new)


EDITS: tuple[Edit, ...] = (
    # ---------------------------------------------------------------- the operator
    _check("only-operator", "if (msg.sender != operator) revert NotOperator"),
    _check("run-ended", "if (!hasEnded()) revert RunNotEnded"),
    _check(
        "cap-bounds",
        "if (weightCap == 0 || weightCap > HIGHEST_CAP) revert WeightCapOutOfBounds",
    ),
    Edit(
        LEDGER,
        "uint32 fromRound = _state.latest + 1;",
        "uint32 fromRound = _state.latest + (ON(from-next-round) ? 1 : 0);",
    ),
    Edit(
        LEDGER,
        "runPolicy.challengeRewardWei <= runPolicy.bondWei / 10, ",
        "!ON(tenth-of-bond) || runPolicy.challengeRewardWei <= runPolicy.bondWei / 10, ",
    ),
    # ---------------------------------------------------------------- registration
    _check("registered-once", "if (seat.barredFrom != 0) revert AlreadyRegistered"),
    _check("admitted-only", "if (!record.admitted) revert NotAdmitted(msg.sender)"),
    _check(
        "signer-is-free",
        "if (isIdentityOfOther || _seats[signer].participant != address(0)) revert SignerTaken",
    ),
    _check("requested-signer", "if (msg.sender != signer) revert NotRequestedSigner"),
    _check("rotation-delay", "if (block.timestamp < record.rotationDueAt) revert RotationNotDue"),
    # ---------------------------------------------------------------- submissions
    _check(
        "registered-only",
        "if (seated.barredFrom == 0) revert NotRegistered",
    ),
    _check("not-suspended", "if (seated.barredFrom <= round) revert ParticipantSuspendedFrom"),
    _check(
        "open-round",
        "if (current.status != RoundStatus.Open) revert WrongStatus(round, current.status);\n"
        "        uint40 deadline = current.since + SUBMISSION_SECONDS;\n"
        "        if (ON(submission-deadline)",
    ),
    _check(
        "submission-deadline",
        "if (block.timestamp >= deadline) revert DeadlinePassed(round, deadline);\n"
        "        if (ON(once-a-round)",
    ),
    _check("base-model", "if (baseModelRoot != expectedRoot) revert WrongBaseModel"),
    _check("weight-cap", "if (weight == 0 || weight > seated.weightCap) revert WeightOutOfBounds"),
    _check("total-weight", "if (totalWeight > MAX_TOTAL_WEIGHT) revert TotalWeightExceeded"),
    # ---------------------------------------------------------------- deadlines
    _check(
        "close-deadline",
        "if (block.timestamp < deadline) revert DeadlineNotPassed(round, deadline);\n\n"
        "        if (!ON(closing-quorum)",
    ),
    _check(
        "void-deadline",
        "if (block.timestamp < deadline) revert DeadlineNotPassed(round, deadline);\n\n"
        "        _voidActive(round, current, VoidReason.NotPosted)",
    ),
    _check("challenge-window", "if (block.timestamp < _postings[settled + 1].finalizableAt) break;"),
    # ---------------------------------------------------------------- postings
    _check("sum-count", "if (partialSumRoots.length != expectedSums) revert WrongPartialSumCount"),
    _check("bond-needed", "if (account.freeBondWei < BOND_WEI) revert BondTooSmall"),
    Edit(
        LEDGER,
        "account.freeBondWei -= BOND_WEI;\n        account.lockedBondWei += BOND_WEI;\n        _postings",
        "if (ON(bond-locked)) {\n            account.freeBondWei -= BOND_WEI;\n"
        "            account.lockedBondWei += BOND_WEI;\n        }\n        _postings",
    ),
    _check(
        "closed-round",
        "if (current.status != RoundStatus.Closed) revert WrongStatus(round, current.status);\n"
        "        if (ON(digest)",
    ),
    _check(
        "posting-deadline",
        "if (block.timestamp >= deadline) revert DeadlinePassed(round, deadline);\n        bool hasFallen",
    ),
    _check("barred", "if (isLast || hasFallen && _barred[round][msg.sender]) revert Barred"),
    _check(
        "turn",
        "if (msg.sender != first && block.timestamp < openToAllAt "
        "&& !(hasFallen && _barred[round][first])) {",
    ),
    Edit(
        LEDGER,
        "uint40 openToAllAt = current.since + POSTING_SECONDS;",
        "uint40 openToAllAt = ON(takeover) ? current.since + POSTING_SECONDS : type(uint40).max;",
    ),
    _check(
        "publication-time",
        "if (exclusionCount != 0 && block.timestamp < publishedAt) revert ExclusionsTooEarly",
    ),
    _check("ascending", "if (i != 0 && index <= exclusions[i - 1].index) revert ExclusionsNotAscending"),
    Edit(
        LEDGER,
        "_checkLeaf(round, index, exclusion.sealedRoot, exclusion.weight, exclusion.participant);",
        "if (ON(excluded-leaf)) "
        "_checkLeaf(round, index, exclusion.sealedRoot, exclusion.weight, exclusion.participant);",
    ),
    _check("something-included", "if (exclusions.length == current.submissions) revert NothingIncluded"),
    _check("posting-quorum", "if (usable < QUORUM) revert BelowQuorum"),
    # ---------------------------------------------------------------- falls
    _check("window-over", "if (block.timestamp >= finalizableAt) revert ChallengeWindowClosed"),
    Edit(
        LEDGER,
        "address judge = verifier;",
        "if (!ON(challenges)) revert NothingWrong();\n        address judge = verifier;",
    ),
    _check("objected-model", "if (modelRoot != _modelRoots[round]) revert WrongModel"),
    Edit(
        LEDGER,
        "_checkLeaf(round, index, sealedRoot, weight, participant);\n        uint16 postingNumber",
        "if (ON(objector-leaf)) _checkLeaf(round, index, sealedRoot, weight, participant);\n"
        "        uint16 postingNumber",
    ),
    _check("objection-once", "if (_isSet(bits, index)) revert AlreadyObjected"),
    Edit(
        LEDGER,
        "uint16 objections = ++_objections[round][postingNumber];",
        "uint16 objections = ++_objections[round][ON(objections-by-posting) ? postingNumber : 0];",
    ),
    Edit(
        LEDGER,
        "if (uint256(objections) * 2 > current.submissions) _fall",
        "if (ON(objections) && (ON(majority) ? uint256(objections) * 2 > current.submissions "
        ": objections != 0)) _fall",
    ),
    # ---------------------------------------------------------------- money
    _check("free-bond-only", "if (amountWei > account.freeBondWei) revert BondTooSmall"),
    Edit(
        LEDGER,
        "account.freeBondWei -= uint128(amountWei);",
        "if (ON(bond-arithmetic)) account.freeBondWei -= uint128(amountWei);\n"
        "        else { unchecked { account.freeBondWei -= uint128(amountWei); } }",
    ),
    Edit(
        LEDGER,
        "address to = _records[participant].payout;\n        if (to",
        "address to = ON(own-payout) ? _records[participant].payout : msg.sender;\n        if (to",
    ),
    _check("final-only", "if (status != RoundStatus.Final && !isVoidWithBonus) revert NotFinal"),
    Edit(
        LEDGER,
        "_checkLeaf(round, one.index, one.sealedRoot, one.weight, participant);",
        "if (ON(claim-leaf)) _checkLeaf(round, one.index, one.sealedRoot, one.weight, participant);",
    ),
    _check(
        "excluded-unpaid", "if (!isVoidWithBonus && isExcluded(round, one.index)) revert ExcludedFromReward"
    ),
    _check("claimed-once", "if (_isSet(_claimed[round], one.index)) revert AlreadyClaimed"),
    Edit(
        LEDGER,
        "account.creditWei += AGGREGATOR_REWARD_WEI;",
        "if (ON(pull-payments)) account.creditWei += AGGREGATOR_REWARD_WEI;\n"
        "        else _pay(posting.poster, AGGREGATOR_REWARD_WEI);",
    ),
    Edit(
        LEDGER,
        "held.creditWei = 0;\n\n        emit Withdrawn(account, to, amountWei);\n\n"
        "        _pay(to, amountWei);",
        "if (ON(effects-first)) held.creditWei = 0;\n\n        emit Withdrawn(account, to, amountWei);\n\n"
        "        _pay(to, amountWei);\n        held.creditWei = 0;",
    ),
    _check("exact-payment", "if (msg.value != amountWei) revert WrongPayment"),
    _check("token-received", "if (afterWei - beforeWei != amountWei) revert WrongPayment"),
    Edit(
        LEDGER,
        "IERC20(token).safeTransferFrom(msg.sender, address(this), amountWei);",
        "if (ON(safe-transfer)) IERC20(token).safeTransferFrom(msg.sender, address(this), amountWei);\n"
        "        else IERC20(token).transferFrom(msg.sender, address(this), amountWei);",
    ),
    _check("unfinal-bound", "if (latest - _state.settled >= MAX_UNFINAL_ROUNDS) {"),
    Edit(
        LEDGER,
        "return (uint256(_state.latest) + 1) * RHO_MICRO_PER_ROUND;",
        "return ON(privacy-budget) ? (uint256(_state.latest) + 1) * RHO_MICRO_PER_ROUND : 0;",
    ),
    # ---------------------------------------------------------------- written last: others are found by these
    _check("once-a-round", "if (seated.lastSeen == round) revert AlreadySubmitted"),
    _check("digest", "if (digest != _digests[round]) revert WrongDigest"),
    Edit(
        LEDGER,
        "if (current.submissions >= QUORUM) {",
        "if (!ON(closing-quorum) || current.submissions >= QUORUM) {",
    ),
    # ---------------------------------------------------------------- what decides challenges
    _check("sum-is-wrong", "if (Chunks.hashOf(Lanes.sum(proof.chunks)) == proof.chunkHash) revert", VERIFIER),
    _check("lane-is-wrong", "if (!isWrong) revert", VERIFIER),
    _check("model-is-wrong", "if (_appliedHash(round, proof) == proof.modelChunkHash) revert", VERIFIER),
    _check("proof-path", "if (given != expected) revert ITrainingLedger.PathMismatch", VERIFIER),
    _check("proof-list", "if (given != expected) revert ITrainingLedger.WrongPartialSums", VERIFIER),
    _check("proof-length", "if (given != expected) revert ITrainingLedger.WrongLength", VERIFIER),
    _check("proof-leaf", "if (leaf != _ledger().leafOf(round, index)) revert", VERIFIER),
    _check("proof-included", "if (_ledger().isExcluded(round, proof.index)) revert", VERIFIER),
    _check("proof-lane", "if (proof.lane >= Chunks.LANES) revert", VERIFIER),
    # ---------------------------------------------------------------- masks
    _check("identity-key-once", "if (_identityKeys[participant] != 0) revert IdentityKeyFixed", MASKS),
    _check(
        "survivors-once", "if (_survivors[round].exclusionsHash != 0) revert SurvivorsAlreadyFixed", MASKS
    ),
    _check("enough-survivors", "if (survivors < needed) revert TooFewSurvivors", MASKS),
    _check(
        "seed-is-wrong",
        "if (Masks.commitment(proof.seeds[proof.number]) == expected) revert",
        MASK_CHALLENGES,
    ),
    _check(
        "term-is-wrong",
        "if (_maskHash(key, proof.chunk, isNegative) == proof.chunkHash) revert",
        MASK_CHALLENGES,
    ),
)

# What every switch needs: the bits in the ledger, and the verifier and the guard asking for them.
_PLUMBING: tuple[Edit, ...] = (
    Edit(
        GUARD,
        "        _nonReentrantBefore();\n        _;",
        "        if (_guards()) _nonReentrantBefore();\n        _;",
    ),
    Edit(
        GUARD,
        "    function _nonReentrantBeforeView()",
        "    function _guards() internal view virtual returns (bool) {\n        return true;\n    }\n\n"
        "    function _nonReentrantBeforeView()",
    ),
    Edit(
        LEDGER,
        "    modifier onlyOperator()",
        "    uint256 public rulesOff;\n\n"
        "    function switchOff(uint256 rules) external {\n        rulesOff = rules;\n    }\n\n"
        "    function _isOn(uint256 rule) private view returns (bool) {\n"
        "        return rulesOff >> rule & 1 == 0;\n    }\n\n"
        "    function _guards() internal view override returns (bool) {\n"
        "        return ON(no-reentrancy);\n    }\n\n    modifier onlyOperator()",
    ),
    Edit(
        LEDGER,
        "        if (aggregator == address(0)) revert ZeroAddress();\n        _checkDefinition",
        "        assembly {\n            codecopy(0, sub(codesize(), 32), 32)\n"
        "            sstore(rulesOff.slot, mload(0))\n        }\n"
        "        if (aggregator == address(0)) revert ZeroAddress();\n        _checkDefinition",
    ),
    Edit(
        VERIFIER,
        "    // ------------------------------------------------------------------ inside: checks\n",
        "    function _isOn(uint256 rule) internal view virtual returns (bool) {\n"
        "        return Switches(msg.sender).rulesOff() >> rule & 1 == 0;\n    }\n\n"
        "    // ------------------------------------------------------------------ inside: checks\n",
    ),
    Edit(
        VERIFIER,
        "/// @title ChallengeVerifier",
        "interface Switches {\n    function rulesOff() external view returns (uint256);\n}\n\n"
        "/// @title ChallengeVerifier",
    ),
    Edit(  # it is called by others than the ledger
        MASKS,
        "    // ------------------------------------------------------------------ inside: checks\n",
        "    function _isOn(uint256 rule) private view returns (bool) {\n"
        "        return Switches(address(LEDGER)).rulesOff() >> rule & 1 == 0;\n    }\n\n"
        "    // ------------------------------------------------------------------ inside: checks\n",
    ),
    Edit(
        MASKS,
        "import { MaskChallenges } from",
        'import { Switches } from "./ChallengeVerifier.sol";\nimport { MaskChallenges } from',
    ),
    Edit(
        VERIFIER,
        "uint256 summands, uint256 depth) private pure",
        "uint256 summands, uint256 depth) private view",
    ),
    Edit(
        VERIFIER,
        "ApplyProof calldata proof, uint256 depth) private pure",
        "ApplyProof calldata proof, uint256 depth) private view",
    ),
    Edit(
        VERIFIER,
        "uint256 given, uint256 expected) internal pure",
        "uint256 given, uint256 expected) internal view",
    ),
    Edit(
        VERIFIER,
        "        bytes32 expected\n    ) internal pure {",
        "        bytes32 expected\n    ) internal view {",
    ),
)

NAMES: tuple[str, ...] = tuple(
    sorted({name for edit in (*EDITS, *_PLUMBING) for name in _SWITCH.findall(edit.new)})
)


def mask(rules: list[str]) -> int:
    """Return the bits that switch rules off."""
    return sum(1 << NAMES.index(name) for name in rules)


def instrumented(sources: dict[str, str]) -> dict[str, str]:
    """Return the contract's sources with a switch at every rule.

    Args:
        sources: the shipped ones by source unit.

    Raises:
        ValueError: a rule's place is not there, or there more than once: its source has changed.
    """
    edited = dict(sources)
    # The last ones first: some edits are found by the switch of the check that follows them.
    for edit in (*reversed(EDITS), *_PLUMBING):
        count = edited[edit.unit].count(edit.old)
        if count != 1:
            raise ValueError(f"{edit.unit} has this {count} times instead of once: {edit.old}")
        edited[edit.unit] = edited[edit.unit].replace(edit.old, edit.new)
    return {
        unit: _SWITCH.sub(lambda found: f"_isOn({NAMES.index(found[1])})", text)
        for unit, text in edited.items()
    }
