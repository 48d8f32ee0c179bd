// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Opening } from "../interfaces/ITrainingLedger.sol";

/// @title What binds a submission to its round and its author, and a posting to its list
library Seals {
    /// @notice The commitment that a participant submits for an update.
    function sealedRoot(Opening calldata opening, uint64 chainId, address ledger, uint32 round)
        internal
        pure
        returns (bytes32)
    {
        return sha256(
            abi.encodePacked(
                bytes1(0x04), opening.vectorRoot, opening.salt, chainId, ledger, uint64(round), opening.participant
            )
        );
    }

    /// @notice What the ledger stores for a submission.
    function leaf(bytes32 root, uint32 weight, address participant) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x02), root, uint64(weight), participant));
    }

    /// @notice What the ledger stores for the list of partial sums.
    function sumsHash(bytes32[] calldata partialSumRoots) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x03), partialSumRoots));
    }
}
