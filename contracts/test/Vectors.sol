// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Vectors of lanes as the protocol has them, in the plainest way: what the contract's libraries are compared with.
/// @dev A vector is its lanes, big-endian, padded with zeros to a power of two of chunks.
library Vectors {
    function smaller(uint256 left, uint256 right) internal pure returns (uint256) {
        return left < right ? left : right;
    }

    // ------------------------------------------------------------------ lanes

    function zero(uint256 dimension) internal pure returns (bytes memory) {
        uint256 chunks = 1;
        while (chunks * 1024 < dimension) {
            chunks *= 2;
        }
        return new bytes(chunks * 4096);
    }

    function lanesOf(bytes memory vector) internal pure returns (uint256) {
        return vector.length / 4;
    }

    function get(bytes memory vector, uint256 lane) internal pure returns (uint32 value) {
        require(lane < lanesOf(vector), "no such lane");
        assembly ("memory-safe") {
            value := shr(224, mload(add(add(vector, 32), mul(lane, 4))))
        }
    }

    function set(bytes memory vector, uint256 lane, uint32 value) internal pure {
        require(lane < lanesOf(vector), "no such lane");
        assembly ("memory-safe") {
            let at := add(add(vector, 4), mul(lane, 4))
            mstore(at, or(and(mload(at), not(0xffffffff)), and(value, 0xffffffff)))
        }
    }

    function add(bytes memory vector, uint256 lane, uint32 delta) internal pure {
        unchecked {
            set(vector, lane, get(vector, lane) + delta);
        }
    }

    /// @notice The sum of vectors `first` to `last - 1`, modulo 2^32.
    function sum(bytes[] memory vectors, uint256 first, uint256 last) internal pure returns (bytes memory total) {
        total = new bytes(vectors[first].length);
        for (uint256 i = first; i < last; ++i) {
            bytes memory summand = vectors[i];
            assembly ("memory-safe") {
                // Lane by lane; each word that is touched keeps its first 28 bytes.
                for { let at := 4 } lt(at, add(mload(total), 4)) { at := add(at, 4) } {
                    let to := add(total, at)
                    let lane := and(add(mload(to), mload(add(summand, at))), 0xffffffff)
                    mstore(to, or(and(mload(to), not(0xffffffff)), lane))
                }
            }
        }
    }

    function applied(bytes memory base, bytes memory total, uint256 fractionBits, uint256 divisor)
        internal
        pure
        returns (bytes memory model)
    {
        model = new bytes(base.length);
        uint256 lanes = lanesOf(base);
        unchecked {
            for (uint256 lane; lane < lanes; ++lane) {
                set(model, lane, appliedLane(get(base, lane), get(total, lane), fractionBits, divisor));
            }
        }
    }

    /// @notice One lane of it, with the division that rounds towards zero and its correction.
    function appliedLane(uint32 base, uint32 total, uint256 fractionBits, uint256 divisor)
        internal
        pure
        returns (uint32)
    {
        unchecked {
            int256 numerator = 2 * int256(int32(total)) * int256(1 << fractionBits) + int256(divisor);
            int256 quotient = numerator / int256(2 * divisor);
            if (numerator % int256(2 * divisor) < 0) --quotient;
            int256 lane = int256(int32(base)) + quotient;
            if (lane > type(int32).max) lane = type(int32).max;
            if (lane < type(int32).min) lane = type(int32).min;
            return uint32(int32(lane));
        }
    }

    // ------------------------------------------------------------------ the tree

    function chunkCount(bytes memory vector) internal pure returns (uint256) {
        return vector.length / 4096;
    }

    function chunkAt(bytes memory vector, uint256 chunk) internal pure returns (bytes memory content) {
        content = new bytes(4096);
        assembly ("memory-safe") {
            mcopy(add(content, 32), add(add(vector, 32), mul(chunk, 4096)), 4096)
        }
    }

    function chunkHash(bytes memory vector, uint256 chunk) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), chunkAt(vector, chunk)));
    }

    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    function chunkHashes(bytes memory vector) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](chunkCount(vector));
        for (uint256 chunk; chunk < hashes.length; ++chunk) {
            hashes[chunk] = chunkHash(vector, chunk);
        }
    }

    function above(bytes32[] memory hashes) internal pure returns (bytes32[] memory parents) {
        parents = new bytes32[](hashes.length / 2);
        for (uint256 i; i < parents.length; ++i) {
            parents[i] = nodeHash(hashes[2 * i], hashes[2 * i + 1]);
        }
    }

    function root(bytes memory vector) internal pure returns (bytes32) {
        bytes32[] memory hashes = chunkHashes(vector);
        while (hashes.length > 1) {
            hashes = above(hashes);
        }
        return hashes[0];
    }

    /// @notice A chunk's siblings, lowest first.
    function path(bytes memory vector, uint256 chunk) internal pure returns (bytes32[] memory siblings) {
        bytes32[] memory hashes = chunkHashes(vector);
        siblings = new bytes32[](32);
        uint256 depth;
        while (hashes.length > 1) {
            siblings[depth++] = hashes[chunk % 2 == 0 ? chunk + 1 : chunk - 1];
            hashes = above(hashes);
            chunk /= 2;
        }
        assembly ("memory-safe") {
            mstore(siblings, depth)
        }
    }

    /// @notice The same chunk of several vectors, and their paths, one after the other.
    function opened(bytes[] memory vectors, uint256 chunk)
        internal
        pure
        returns (bytes memory chunks, bytes32[] memory paths)
    {
        for (uint256 i; i < vectors.length; ++i) {
            chunks = bytes.concat(chunks, chunkAt(vectors[i], chunk));
            paths = joined(paths, path(vectors[i], chunk));
        }
    }

    // ------------------------------------------------------------------ lists

    function joined(bytes32[] memory left, bytes32[] memory right) internal pure returns (bytes32[] memory both) {
        both = new bytes32[](left.length + right.length);
        for (uint256 i; i < both.length; ++i) {
            both[i] = i < left.length ? left[i] : right[i - left.length];
        }
    }

    function without(bytes32[] memory list, uint256 first, uint256 last) internal pure returns (bytes32[] memory rest) {
        rest = new bytes32[](list.length - (last - first));
        for (uint256 i; i < rest.length; ++i) {
            rest[i] = list[i < first ? i : i + last - first];
        }
    }

    function only(bytes32 one) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = one;
    }

    // ------------------------------------------------------------------ bytes

    function resized(bytes memory content, uint256 length) internal pure returns (bytes memory other) {
        other = new bytes(length);
        uint256 kept = smaller(length, content.length);
        assembly ("memory-safe") {
            mcopy(add(other, 32), add(content, 32), kept)
        }
    }

    function tail(bytes memory content, uint256 start) internal pure returns (bytes memory rest) {
        rest = new bytes(content.length - start);
        assembly ("memory-safe") {
            mcopy(add(rest, 32), add(add(content, 32), start), mload(rest))
        }
    }
}
