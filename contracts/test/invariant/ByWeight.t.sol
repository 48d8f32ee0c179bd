// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./Invariants.t.sol";

// Forge gives neighbours in the order of file names to one thread: the two campaigns' files are far apart.

/// @notice Rounds may also close at a number of submissions; rewards by weight; money is short.
contract InvariantsByWeightTest is Invariants {
    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.closeAt = 3;
        policy.maxUnfinalRounds = 1;
        policy.maxRounds = 6;
        policy.challengeSeconds = 30;
        policy.unbondingSeconds = 20;
        policy.rewardWei = 300_000;
        policy.rewardSplit = RewardSplit.DeclaredWeight;
        policy.quorum = 2;
        policy.bondWei = 10_007;
    }
}
