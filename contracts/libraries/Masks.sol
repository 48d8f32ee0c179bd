// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Masks of secure aggregation, from a published seed to a chunk of the cipher's output
/// @dev HKDF-SHA-256 (RFC 5869), X25519 (RFC 7748) and ChaCha20 (RFC 8439), for challenges alone: nothing here is secret,
/// so nothing has to take constant time.
library Masks {
    /// @dev What the digest of a round begins with, and every key's purpose.
    bytes internal constant TAG = "fl_chain/masking/1";
    bytes internal constant ROUND = "fl_chain/masking/1/round key";
    bytes internal constant OWN = "fl_chain/masking/1/self mask";
    bytes internal constant PAIR = "fl_chain/masking/1/pair mask";

    /// @dev Of the curve's field, 2^255 - 19.
    uint256 private constant P = 0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed;
    uint256 private constant ORDER_8 = 325606250916557431795983626356110631294008115727848805560023387167927233504;
    uint256 private constant OTHER_ORDER_8 =
        39382357235489614581723060781553021112529911719440698176882885853963445705823;
    /// @dev (486662 - 2) / 4, of the curve's ladder.
    uint256 private constant A24 = 121665;
    /// @dev The lower halves of four lanes of 64 bits.
    uint256 private constant LOW = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant ODD_BYTES = 0x00000000ff00ff0000000000ff00ff0000000000ff00ff0000000000ff00ff00;
    uint256 private constant EVEN_BYTES = 0x0000000000ff00ff0000000000ff00ff0000000000ff00ff0000000000ff00ff;
    uint256 private constant UPPER = 0x00000000ffff000000000000ffff000000000000ffff000000000000ffff0000;
    uint256 private constant LOWER = 0x000000000000ffff000000000000ffff000000000000ffff000000000000ffff;
    /// @dev 2^32 in each lane, from which a lane is taken to turn its sign.
    uint256 private constant BORROW = 0x0000000100000000000000010000000000000001000000000000000100000000;
    /// @dev Copies a number of 32 bits into four lanes.
    uint256 private constant FOUR = 0x0000000000000001000000000000000100000000000000010000000000000001;
    /// @dev The block numbers of four lanes.
    uint256 private constant COUNT = 0x0000000000000000000000000000000100000000000000020000000000000003;

    // ------------------------------------------------------------------ keys

    /// @notice What a participant publishes of a seed beforehand.
    function commitment(bytes16 seed) internal pure returns (bytes32) {
        return sha256(abi.encodePacked("fl_chain/masking/seed", bytes1(0x00), seed));
    }

    /// @notice 32 bytes that a secret gives for one purpose in one round.
    /// @param context digest of the round, the salt.
    function derived(bytes memory secret, bytes32 context, bytes memory info) internal pure returns (bytes32) {
        bytes32 extracted = hmac(context, secret);
        return hmac(extracted, abi.encodePacked(info, bytes1(0x01)));
    }

    /// @notice HMAC-SHA-256 (RFC 2104) under a key of 32 bytes.
    function hmac(bytes32 key, bytes memory content) internal pure returns (bytes32) {
        uint256 inner = uint256(key) ^ 0x3636363636363636363636363636363636363636363636363636363636363636;
        uint256 outer = uint256(key) ^ 0x5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c;
        bytes32 inside = sha256(
            abi.encodePacked(
                inner, uint256(0x3636363636363636363636363636363636363636363636363636363636363636), content
            )
        );
        return sha256(
            abi.encodePacked(outer, uint256(0x5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c), inside)
        );
    }

    /// @notice The X25519 function of a private key and a point's u-coordinate.
    /// @dev Warning: a point of low order gives zero; whoever agrees on a secret has to refuse it.
    function x25519(bytes32 scalar, bytes32 point) internal view returns (bytes32) {
        uint256 k = turned(uint256(scalar));
        k = (k & ~uint256(7) & ((1 << 254) - 1)) | 1 << 254;
        uint256 u = turned(uint256(point)) & ((1 << 255) - 1);
        (uint256 x, uint256 z) = _ladder(k, u % P);
        return bytes32(turned(mulmod(x, _inverse(z), P)));
    }

    /// @notice Whether every private key gives zero with a point, and so a secret that everybody knows.
    /// @dev The u-coordinates of order 1, 2, 4 and 8, on the curve and on its twist.
    function isLowOrder(bytes32 point) internal pure returns (bool) {
        uint256 u = (turned(uint256(point)) & ((1 << 255) - 1)) % P;
        return u <= 1 || u == P - 1 || u == ORDER_8 || u == OTHER_ORDER_8;
    }

    /// @notice 32 bytes in the opposite order.
    function turned(uint256 value) internal pure returns (uint256) {
        uint256 mask = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
        value = ((value >> 8) & mask) | ((value & mask) << 8);
        mask = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
        value = ((value >> 16) & mask) | ((value & mask) << 16);
        value = ((value >> 32) & LOW) | ((value & LOW) << 32);
        mask = 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
        value = ((value >> 64) & mask) | ((value & mask) << 64);
        return (value >> 128) | (value << 128);
    }

    /// @dev The Montgomery ladder of RFC 7748, section 5, in projective coordinates.
    function _ladder(uint256 k, uint256 u) private pure returns (uint256 x2, uint256 z2) {
        x2 = 1;
        uint256 x3 = u;
        uint256 z3 = 1;
        assembly ("memory-safe") {
            let swapped := 0
            for { let bit := 254 } lt(bit, 255) { bit := sub(bit, 1) } {
                let one := and(shr(bit, k), 1)
                if xor(swapped, one) {
                    let held := x2
                    x2 := x3
                    x3 := held
                    held := z2
                    z2 := z3
                    z3 := held
                }
                swapped := one
                let a := addmod(x2, z2, P)
                let b := addmod(x2, sub(P, z2), P)
                {
                    let da := mulmod(addmod(x3, sub(P, z3), P), a, P)
                    let cb := mulmod(addmod(x3, z3, P), b, P)
                    x3 := addmod(da, cb, P)
                    x3 := mulmod(x3, x3, P)
                    z3 := addmod(da, sub(P, cb), P)
                    z3 := mulmod(u, mulmod(z3, z3, P), P)
                }
                a := mulmod(a, a, P)
                b := mulmod(b, b, P)
                x2 := mulmod(a, b, P)
                b := addmod(a, sub(P, b), P)
                z2 := mulmod(b, addmod(a, mulmod(A24, b, P), P), P)
            }
            if swapped {
                x2 := x3
                z2 := z3
            }
        }
    }

    /// @dev By Fermat's little theorem, with the precompiled contract for powers; zero gives zero.
    function _inverse(uint256 value) private view returns (uint256 inverse) {
        (bool isDone, bytes memory result) =
            address(5).staticcall(abi.encode(uint256(32), uint256(32), uint256(32), value, P - 2, P));
        require(isDone);
        return abi.decode(result, (uint256));
    }

    // ------------------------------------------------------------------ the stream

    /// @notice A chunk of 1024 lanes of ChaCha20's output with a zero nonce, the stream's bytes read big-endian.
    /// @dev 64 blocks, four at a time: each of the sixteen words of the state is held for four blocks in one word of the
    /// machine, in lanes of 64 bits whose upper halves take what runs over.
    /// @param chunk the chunk's number; its first block is 64 times that.
    /// @param isNegative turn each lane's sign.
    /// @param count how many lanes; the rest of the chunk is zero.
    function stream(bytes32 key, uint64 chunk, bool isNegative, uint256 count)
        internal
        pure
        returns (bytes memory lanes)
    {
        lanes = new bytes(4096);
        uint256 words = turned(uint256(key)); // the key's first word is in the lowest bits
        assembly ("memory-safe") {
            function quarter(state, a, b, c, d) {
                a := add(state, a)
                b := add(state, b)
                c := add(state, c)
                d := add(state, d)
                let va := mload(a)
                let vb := mload(b)
                let vc := mload(c)
                let vd := mload(d)
                va := and(add(va, vb), LOW)
                vd := xor(vd, va)
                vd := and(or(shl(16, vd), shr(16, vd)), LOW)
                vc := and(add(vc, vd), LOW)
                vb := xor(vb, vc)
                vb := and(or(shl(12, vb), shr(20, vb)), LOW)
                va := and(add(va, vb), LOW)
                vd := xor(vd, va)
                vd := and(or(shl(8, vd), shr(24, vd)), LOW)
                vc := and(add(vc, vd), LOW)
                vb := xor(vb, vc)
                vb := and(or(shl(7, vb), shr(25, vb)), LOW)
                mstore(a, va)
                mstore(b, vb)
                mstore(c, vc)
                mstore(d, vd)
            }

            let state := mload(0x40) // 16 words that change, then 16 that they start from
            let start := add(state, 512)
            mstore(start, mul(0x61707865, FOUR))
            mstore(add(start, 32), mul(0x3320646e, FOUR))
            mstore(add(start, 64), mul(0x79622d32, FOUR))
            mstore(add(start, 96), mul(0x6b206574, FOUR))
            for { let i := 0 } lt(i, 8) { i := add(i, 1) } {
                mstore(add(start, add(128, mul(32, i))), mul(and(shr(mul(32, i), words), 0xffffffff), FOUR))
            }
            mstore(add(start, 416), 0)
            mstore(add(start, 448), 0)
            mstore(add(start, 480), 0)

            for { let group := 0 } lt(group, 16) { group := add(group, 1) } {
                mstore(add(start, 384), add(mul(add(mul(chunk, 64), mul(group, 4)), FOUR), COUNT))
                mcopy(state, start, 512)
                for { let i := 0 } lt(i, 10) { i := add(i, 1) } {
                    quarter(state, 0, 128, 256, 384)
                    quarter(state, 32, 160, 288, 416)
                    quarter(state, 64, 192, 320, 448)
                    quarter(state, 96, 224, 352, 480)
                    quarter(state, 0, 160, 320, 480)
                    quarter(state, 32, 192, 352, 384)
                    quarter(state, 64, 224, 256, 416)
                    quarter(state, 96, 128, 288, 448)
                }
                // Eight words of one block make a word of the chunk: two for each block.
                for { let half := 0 } lt(half, 512) { half := add(half, 256) } {
                    let first := 0
                    let second := 0
                    let third := 0
                    let fourth := 0
                    for { let i := half } lt(i, add(half, 256)) { i := add(i, 32) } {
                        let value := add(mload(add(state, i)), mload(add(start, i)))
                        // The stream has a word's lowest byte first, a lane its highest.
                        value := or(and(shl(8, value), ODD_BYTES), and(shr(8, value), EVEN_BYTES))
                        value := or(and(shl(16, value), UPPER), and(shr(16, value), LOWER))
                        if isNegative { value := and(sub(BORROW, value), LOW) }
                        first := or(shl(32, first), shr(192, value))
                        second := or(shl(32, second), and(shr(128, value), 0xffffffff))
                        third := or(shl(32, third), and(shr(64, value), 0xffffffff))
                        fourth := or(shl(32, fourth), and(value, 0xffffffff))
                    }
                    let at := add(add(lanes, 32), add(mul(group, 256), shr(3, half)))
                    mstore(at, first)
                    mstore(add(at, 64), second)
                    mstore(add(at, 128), third)
                    mstore(add(at, 192), fourth)
                }
            }
            let end := add(add(lanes, 32), mul(count, 4))
            calldatacopy(end, calldatasize(), sub(4096, mul(count, 4)))
        }
    }
}
