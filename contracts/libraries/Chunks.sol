// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The tree of chunks under a vector root
/// @dev The last chunk is padded with zero lanes, and the chunks with zero chunks to a power of two.
library Chunks {
    uint256 internal constant LANES = 1024;
    uint256 internal constant BYTES = 4096;

    /// @notice Levels above the chunks of a vector.
    /// @param dimension its lanes, at least 1.
    function depthOf(uint256 dimension) internal pure returns (uint256 depth) {
        while (LANES << depth < dimension) ++depth;
    }

    /// @notice The hash of the 4096 bytes of `content` from `start` on.
    function hashAt(bytes calldata content, uint256 start) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), content[start:start + BYTES]));
    }

    /// @notice The hash of a chunk of 4096 bytes.
    function hashOf(bytes memory chunk) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), chunk));
    }

    /// @notice The root that a path leads to from a chunk.
    /// @dev Warning: the caller fixes the path's length, or a node passes for a chunk.
    /// @param path the siblings, lowest first.
    function rootOf(bytes32 chunkHash, uint256 chunk, bytes32[] calldata path) internal pure returns (bytes32 node) {
        node = chunkHash;
        for (uint256 level; level < path.length; ++level) {
            bool isRight = chunk >> level & 1 == 1;
            node = isRight
                ? sha256(abi.encodePacked(bytes1(0x01), path[level], node))
                : sha256(abi.encodePacked(bytes1(0x01), node, path[level]));
        }
    }
}
