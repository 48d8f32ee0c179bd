// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Arithmetic on chunks of 1024 lanes
/// @dev A lane is 32 bits, big-endian, so that a word holds eight of them, the first one in its highest bits.
library Lanes {
    /// @dev The odd lanes of a word, each with 32 free bits above it: a sum of eight needs 35.
    uint256 private constant ODD = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant ANY = 0xffffffff;
    /// @dev The sign bits of a word's lanes. A lane with its sign bit turned is the lane plus 2^31: a natural number.
    uint256 private constant SIGNS = 0x8000000080000000800000008000000080000000800000008000000080000000;
    /// @dev Added to a quotient while it is computed, so that the division is one of natural numbers, which rounds down:
    /// |2 * total * 2^fractionBits| <= 2^56.
    uint256 private constant BIAS = 2 ** 56;

    /// @notice The sum of chunks, lane by lane modulo 2^32.
    /// @param chunks 4096 bytes each, at most eight; none: the zero chunk.
    function sum(bytes calldata chunks) internal pure returns (bytes memory total) {
        total = new bytes(4096);
        assembly ("memory-safe") {
            let first := chunks.offset
            let end := add(first, chunks.length)
            let to := add(total, 32)
            for { let last := add(first, 4096) } lt(first, last) { first := add(first, 32) } {
                let odd := 0
                let even := 0
                for { let at := first } lt(at, end) { at := add(at, 4096) } {
                    let word := calldataload(at)
                    odd := add(odd, and(word, ODD))
                    even := add(even, and(shr(32, word), ODD))
                }
                mstore(to, or(and(odd, ODD), shl(32, and(even, ODD))))
                to := add(to, 32)
            }
        }
    }

    /// @notice The model's chunk after a round: `clamp(base + floor((2 * total * 2^fractionBits + d) / (2 * d)))`.
    /// @param base the model's chunk that the round started from, 4096 bytes.
    /// @param total the chunk of the sum of the included updates, 4096 bytes.
    /// @param fractionBits at most 24.
    /// @param divisor d, which is total weight * 2^scaleBits; 1 to 2^61.
    function applied(bytes calldata base, bytes calldata total, uint256 fractionBits, uint256 divisor)
        internal
        pure
        returns (bytes memory model)
    {
        model = new bytes(4096);
        uint256 twice = 2 * divisor;
        uint256 shift = fractionBits + 1;
        // Of the numerator, but for the total's lane: with its sign bit turned, that is 2^31 too high.
        uint256 constantPart = divisor + twice * BIAS - (1 << (31 + shift));
        assembly ("memory-safe") {
            for { let at := 0 } lt(at, 4096) { at := add(at, 32) } {
                let baseWord := xor(calldataload(add(base.offset, at)), SIGNS)
                let totalWord := xor(calldataload(add(total.offset, at)), SIGNS)
                let word
                let lane
                // Each lane's numerator, then the lane; one outside becomes the lowest where it is below zero, else the
                // highest. Eight times the same: a loop or calls would cost half as much again.

                lane := add(shl(shift, shr(224, totalWord)), constantPart)
                lane := sub(add(shr(224, baseWord), div(lane, twice)), BIAS)
                if shr(32, lane) { lane := mul(ANY, sgt(lane, 0)) }
                word := shl(224, lane)

                lane := add(shl(shift, and(shr(192, totalWord), ANY)), constantPart)
                lane := sub(add(and(shr(192, baseWord), ANY), div(lane, twice)), BIAS)
                if shr(32, lane) { lane := mul(ANY, sgt(lane, 0)) }
                word := or(word, shl(192, lane))

                lane := add(shl(shift, and(shr(160, totalWord), ANY)), constantPart)
                lane := sub(add(and(shr(160, baseWord), ANY), div(lane, twice)), BIAS)
                if shr(32, lane) { lane := mul(ANY, sgt(lane, 0)) }
                word := or(word, shl(160, lane))

                lane := add(shl(shift, and(shr(128, totalWord), ANY)), constantPart)
                lane := sub(add(and(shr(128, baseWord), ANY), div(lane, twice)), BIAS)
                if shr(32, lane) { lane := mul(ANY, sgt(lane, 0)) }
                word := or(word, shl(128, lane))

                lane := add(shl(shift, and(shr(96, totalWord), ANY)), constantPart)
                lane := sub(add(and(shr(96, baseWord), ANY), div(lane, twice)), BIAS)
                if shr(32, lane) { lane := mul(ANY, sgt(lane, 0)) }
                word := or(word, shl(96, lane))

                lane := add(shl(shift, and(shr(64, totalWord), ANY)), constantPart)
                lane := sub(add(and(shr(64, baseWord), ANY), div(lane, twice)), BIAS)
                if shr(32, lane) { lane := mul(ANY, sgt(lane, 0)) }
                word := or(word, shl(64, lane))

                lane := add(shl(shift, and(shr(32, totalWord), ANY)), constantPart)
                lane := sub(add(and(shr(32, baseWord), ANY), div(lane, twice)), BIAS)
                if shr(32, lane) { lane := mul(ANY, sgt(lane, 0)) }
                word := or(word, shl(32, lane))

                lane := add(shl(shift, and(totalWord, ANY)), constantPart)
                lane := sub(add(and(baseWord, ANY), div(lane, twice)), BIAS)
                if shr(32, lane) { lane := mul(ANY, sgt(lane, 0)) }
                word := or(word, lane)

                mstore(add(add(model, 32), at), xor(word, SIGNS))
            }
        }
    }

    /// @notice One lane of a chunk as a signed number.
    /// @param lane 0 to 1023.
    function laneAt(bytes calldata chunk, uint256 lane) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := signextend(3, shr(224, calldataload(add(chunk.offset, mul(lane, 4)))))
        }
    }
}
