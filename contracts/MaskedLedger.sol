// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { LedgerBase } from "./TrainingLedger.sol";
import { IMaskedLedger } from "./interfaces/IMaskedLedger.sol";
import { ISecureAggregation, MaskProof, SeedProof } from "./interfaces/ISecureAggregation.sol";
import { AggregationKind, Exclusion, FallReason, Policy, RunDefinition } from "./interfaces/ITrainingLedger.sol";

/// @title MaskedLedger
/// @notice The ledger of a run in which nobody sees an update: the same ledger, with masks between participants.
contract MaskedLedger is LedgerBase, IMaskedLedger {
    /// @dev Below it a sum gives its summands away.
    uint16 private constant LEAST_QUORUM = 3;
    /// @dev Below it the time for setting up keys, a quarter, would be none.
    uint32 private constant LEAST_SUBMISSION_SECONDS = 4;
    /// @dev With fewer groups one that is wrong is not outvoted.
    uint16 private constant LEAST_GROUPS = 3;

    /// @param runDefinition what is trained.
    /// @param runPolicy the rules; `aggregation` is `MaskedSums`, or `MaskedResult` where the masks have groups, 3 at least. The
    /// quorum is at least 3, and 3 in each of a majority of the groups; `submissionSeconds` at least 4, and `closeAt` 0: a
    /// round that closed early would have too few left to take the masks of the others off.
    /// @param aggregator who may post first.
    /// @param runToken the ERC-20 token that all amounts are in; zero for the native coin.
    /// @param masks the `SecureAggregation` of this ledger, which was deployed for its address.
    constructor(
        RunDefinition memory runDefinition,
        Policy memory runPolicy,
        address aggregator,
        address runToken,
        address masks
    ) LedgerBase(runDefinition, runPolicy, aggregator, runToken, masks) {
        bool isGrouped = runPolicy.aggregation == AggregationKind.MaskedResult;
        bool isMasked = isGrouped || runPolicy.aggregation == AggregationKind.MaskedSums;
        _checkBound(isMasked, "aggregation", uint256(runPolicy.aggregation));
        uint16 groups = ISecureAggregation(masks).groups();
        _checkBound(isGrouped ? groups >= LEAST_GROUPS : groups == 0, "groups", groups);
        uint256 leastQuorum = isGrouped ? LEAST_QUORUM * (uint256(groups) / 2 + 1) : LEAST_QUORUM;
        _checkBound(runPolicy.quorum >= leastQuorum, "quorum", runPolicy.quorum);
        _checkBound(runPolicy.closeAt == 0, "closeAt", runPolicy.closeAt);
        uint32 submissionSeconds = runPolicy.submissionSeconds;
        _checkBound(submissionSeconds >= LEAST_SUBMISSION_SECONDS, "submissionSeconds", submissionSeconds);
        if (ISecureAggregation(masks).ledger() != address(this)) revert MasksOfAnother(masks);
    }

    /// @inheritdoc IMaskedLedger
    function challengeSeed(uint32 round, SeedProof calldata) external {
        _challenge(round, FallReason.Seed);
    }

    /// @inheritdoc IMaskedLedger
    function challengeMask(uint32 round, MaskProof calldata) external {
        _challenge(round, FallReason.Mask);
    }

    /// @inheritdoc IMaskedLedger
    function seatOf(address signer) external view returns (address participant, uint32 lastSeen, uint32 barredFrom) {
        Seat memory seat = _seatOf(signer);
        return (seat.participant, seat.lastSeen, seat.barredFrom);
    }

    function _kindOfSums() internal pure override returns (AggregationKind) {
        return AggregationKind.MaskedSums;
    }

    function _beforeDeparture(uint32 round, address participant) internal override {
        ISecureAggregation(verifier).countOut(round, participant);
    }

    function _beforeSubmission(uint32 round, address participant) internal override {
        ISecureAggregation(verifier).checkMember(round, participant);
    }

    function _beforePosting(uint32 round, uint16, Exclusion[] calldata exclusions)
        internal
        view
        override
        returns (uint256)
    {
        return ISecureAggregation(verifier).beforePosting(round, msg.sender, exclusions);
    }
}
