// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who shares masks with whom in a large round
/// @dev A Harary graph over a random order of the vertices (Bell et al., CCS 2020): each has the nearest on both sides.
library Graphs {
    /// @notice How many neighbours a vertex has on each side: `6 floor(log2(vertices)) - 7`, and more where vertices are
    /// not expected, as the square of their ratio. Never so many that one would be on both sides.
    /// @dev What the numbers are good for is derived in `fl_chain/masking/graph.py`.
    function reach(uint256 vertices, uint256 expected) internal pure returns (uint256 side) {
        unchecked {
            for (uint256 rest = vertices; rest > 1; rest >>= 1) {
                side += 6;
            }
            side -= 7;
            if (expected < vertices) {
                uint256 square = expected == 0 ? 1 : expected * expected;
                side = (side * vertices * vertices + square - 1) / square;
            }
            uint256 most = (vertices - 1) / 2;
            if (side > most) side = most;
        }
    }

    /// @notice The group of a place: consecutive places, so that no two groups differ by more than one vertex.
    function group(uint256 place, uint256 vertices, uint256 groups) internal pure returns (uint256) {
        return place * groups / vertices;
    }

    /// @notice The order: at each index the vertex that has that place, and 128 bits higher the place that the vertex has.
    /// @dev The shuffle of Fisher and Yates. Draws are the words of 32 bits of SHA-256 over tag, seed and number of the draw,
    /// the last word first.
    function order(bytes16 seed, uint256 vertices) internal pure returns (uint256[] memory ring) {
        ring = new uint256[](vertices);
        unchecked {
            for (uint256 i; i < vertices; ++i) {
                ring[i] = i;
            }
            uint256 drawn;
            for (uint256 i; i + 1 < vertices; ++i) {
                if (i & 7 == 0) drawn = uint256(sha256(abi.encodePacked(bytes1(0x0a), seed, uint64(i))));
                uint256 last = vertices - 1 - i;
                uint256 chosen = (drawn & 0xffffffff) % (last + 1);
                (ring[chosen], ring[last]) = (ring[last], ring[chosen]);
                drawn >>= 32;
            }
            for (uint256 i; i < vertices; ++i) {
                ring[uint128(ring[i])] |= i << 128;
            }
        }
    }
}
