// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { MaskProof, SeedProof } from "./ISecureAggregation.sol";

/// @title What a ledger of masked updates has beside the others
/// @dev Its `verifier` is an `ISecureAggregation`.
interface IMaskedLedger {
    error MasksOfAnother(address masks);

    /// @notice Takes down a posting whose seeds are not the ones that were committed to. See `challengeSum`.
    function challengeSeed(uint32 round, SeedProof calldata proof) external;

    /// @notice Takes down a posting that takes off another mask than its seeds give. See `challengeSum`.
    function challengeMask(uint32 round, MaskProof calldata proof) external;

    /// @notice What a participant's hot slot holds, by its signing key. See `Participant`.
    function seatOf(address signer) external view returns (address participant, uint32 lastSeen, uint32 barredFrom);
}
