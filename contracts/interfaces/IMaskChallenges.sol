// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { MaskProof, SeedProof } from "./ISecureAggregation.sol";

/// @title What decides the challenges of masks
/// @notice See `IChallengeVerifier`, which has the others.
interface IMaskChallenges {
    function challengeSeed(uint32 round, SeedProof calldata proof) external view;
    function challengeMask(uint32 round, MaskProof calldata proof) external view;
}
