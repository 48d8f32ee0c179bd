// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { ApplyProof, RangeProof, SumProof } from "./ITrainingLedger.sol";

/// @title What decides challenges
/// @notice Returns where a proof shows that the caller's posting is wrong, and reverts otherwise.
/// @dev The functions have the signatures of the ledger's own, so that the ledger hands its calldata over as it came, and
/// reads what the proofs are checked against from the caller. Apart from the ledger only to stay below the code size limit.
interface IChallengeVerifier {
    function challengeSum(uint32 round, SumProof calldata proof) external view;
    function challengeRange(uint32 round, RangeProof calldata proof) external view;
    function challengeApply(uint32 round, ApplyProof calldata proof) external view;
}
