// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Masks } from "../libraries/Masks.sol";
import "./LedgerTest.sol";

/// @notice The masks' primitives against the vectors of their standards.
contract MasksTest is LedgerTest {
    function setUp() public override { }

    // ------------------------------------------------------------------ X25519

    /// @notice RFC 7748, section 5.2: the two vectors, the second with a point whose highest bit is set.
    function testX25519OfRfc7748() public view {
        vm.assertEq(
            Masks.x25519(
                0xa546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4,
                0xe6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c
            ),
            0xc3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552
        );
        vm.assertEq(
            Masks.x25519(
                0x4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d,
                0xe5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493
            ),
            0x95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957
        );
    }

    /// @notice The same section's iterated vector after its first turn; a thousand of them take half a minute here.
    function testX25519IteratedOfRfc7748() public view {
        bytes32 nine = bytes32(uint256(9) << 248);
        vm.assertEq(Masks.x25519(nine, nine), 0x422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079);
    }

    /// @notice Section 6.1: both find the same secret.
    function testAgreementOfRfc7748() public view {
        bytes32 nine = bytes32(uint256(9) << 248);
        bytes32 alice = 0x77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a;
        bytes32 bob = 0x5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb;
        bytes32 alicesKey = Masks.x25519(alice, nine);
        bytes32 bobsKey = Masks.x25519(bob, nine);
        bytes32 secret = 0x4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742;
        vm.assertEq(alicesKey, 0x8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a);
        vm.assertEq(bobsKey, 0xde9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f);
        vm.assertEq(Masks.x25519(alice, bobsKey), secret);
        vm.assertEq(Masks.x25519(bob, alicesKey), secret);
    }

    /// forge-config: default.fuzz.runs = 16
    function testBothFindTheSameSecret(bytes32 one, bytes32 other) public view {
        bytes32 nine = bytes32(uint256(9) << 248);
        vm.assertEq(Masks.x25519(one, Masks.x25519(other, nine)), Masks.x25519(other, Masks.x25519(one, nine)));
    }

    /// forge-config: default.fuzz.runs = 32
    /// @notice Every encoding of a point of low order, and that it gives zero with any key.
    function testLowOrder(bytes32 key) public view {
        uint256 p = 2 ** 255 - 19;
        uint256 some = 325606250916557431795983626356110631294008115727848805560023387167927233504;
        uint256 other = 39382357235489614581723060781553021112529911719440698176882885853963445705823;
        uint256[7] memory points = [0, 1, some, other, p - 1, p, p + 1];
        for (uint256 i; i < points.length; ++i) {
            for (uint256 high; high < 2; ++high) {
                bytes32 point = bytes32(Masks.turned(points[i] | high << 255));
                vm.assertTrue(Masks.isLowOrder(point));
                if (uint256(key) % 16 == i) vm.assertEq(Masks.x25519(key, point), bytes32(0));
            }
        }
        uint256[8] memory neighbours = [uint256(2), 9, some - 1, some + 1, other - 1, other + 1, p - 2, p + 2];
        for (uint256 i; i < neighbours.length; ++i) {
            vm.assertFalse(Masks.isLowOrder(bytes32(Masks.turned(neighbours[i]))));
        }
    }

    function testTurned(bytes32 content) public pure {
        bytes32 expected;
        for (uint256 i; i < 32; ++i) {
            expected |= bytes32(content[31 - i]) >> 8 * i;
        }
        vm.assertEq(bytes32(Masks.turned(uint256(content))), expected);
    }

    // ------------------------------------------------------------------ HKDF

    function repeated(bytes1 value, uint256 length) private pure returns (bytes memory content) {
        content = new bytes(length);
        for (uint256 i; i < length; ++i) {
            content[i] = value;
        }
    }

    function counting(uint256 first, uint256 last) private pure returns (bytes memory content) {
        content = new bytes(last - first + 1);
        for (uint256 i; i < content.length; ++i) {
            content[i] = bytes1(uint8(first + i));
        }
    }

    /// @notice RFC 5869, appendix A, all of SHA-256: the first 32 bytes, which are all that is asked for. A salt that is no
    /// digest is what HMAC makes of it: filled up with zeros, or hashed where it is longer than a block.
    function testHkdfOfRfc5869() public pure {
        bytes32 salt = bytes32(bytes13(0x000102030405060708090a0b0c));
        bytes memory secret = repeated(0x0b, 22);
        vm.assertEq(Masks.hmac(salt, secret), 0x077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5);
        vm.assertEq(
            Masks.derived(secret, salt, counting(0xf0, 0xf9)),
            0x3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf
        );
        salt = sha256(counting(0x60, 0xaf));
        secret = counting(0x00, 0x4f);
        vm.assertEq(Masks.hmac(salt, secret), 0x06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244);
        vm.assertEq(
            Masks.derived(secret, salt, counting(0xb0, 0xff)),
            0xb11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c
        );
        secret = repeated(0x0b, 22);
        vm.assertEq(Masks.hmac(0, secret), 0x19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04);
        vm.assertEq(Masks.derived(secret, 0, ""), 0x8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d);
    }

    // ------------------------------------------------------------------ ChaCha20

    function word(bytes memory content, uint256 at) private pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := mload(add(add(content, 32), at))
        }
    }

    /// @notice RFC 8439, appendix A.1, as lanes in their order: vectors 1, 2 and 3 of a zero nonce.
    function testChaCha20OfRfc8439() public pure {
        bytes memory lanes = Masks.stream(0, 0, false, 1024);
        vm.assertEq(word(lanes, 0), 0x76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7);
        vm.assertEq(word(lanes, 32), 0xda41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586);
        vm.assertEq(word(lanes, 64), 0x9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed);
        vm.assertEq(word(lanes, 96), 0x29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f);
        lanes = Masks.stream(bytes32(uint256(1)), 0, false, 1024);
        vm.assertEq(word(lanes, 64), 0x3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a);
        vm.assertEq(word(lanes, 96), 0x8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0);
        lanes = Masks.stream(bytes32(uint256(0xff) << 240), 0, false, 1024);
        vm.assertEq(word(lanes, 128), 0x72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca);
        vm.assertEq(word(lanes, 160), 0x13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096);
    }

    /// @notice A lane's sign is turned, and what is past the count is zero.
    /// forge-config: default.fuzz.runs = 16
    function testSignsAndCounts(bytes32 key, uint64 chunk, uint256 count) public pure {
        chunk = uint64(bound(chunk, 0, 2 ** 22 - 1));
        count = bound(count, 1, 1024);
        bytes memory lanes = Masks.stream(key, chunk, false, 1024);
        bytes memory fewer = Masks.stream(key, chunk, true, count);
        vm.assertEq(fewer.length, 4096);
        for (uint256 lane; lane < 1024; ++lane) {
            uint32 value = uint32(uint256(word(lanes, 4 * lane)) >> 224);
            uint32 turned = uint32(uint256(word(fewer, 4 * lane)) >> 224);
            unchecked {
                vm.assertEq(uint256(turned), lane < count ? uint256(0 - value) : 0);
            }
        }
    }
}

/// @notice The masks' primitives against the shared vectors.
contract MaskVectorsTest is LedgerTest {
    string private vectors;

    function setUp() public override {
        vectors = vm.readFile("../tests/vectors/masking.json");
    }

    function entry(string memory list, uint256 i) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }

    function wordAt(string memory at, string memory field) private view returns (bytes32) {
        return vm.parseJsonBytes32(vectors, string.concat(at, field));
    }

    function bytesAt(string memory at, string memory field) private view returns (bytes memory) {
        return vm.parseJsonBytes(vectors, string.concat(at, field));
    }

    function hashOf(bytes memory chunk) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), chunk));
    }

    function testCommitments() public view {
        uint256 i;
        for (; vm.keyExistsJson(vectors, entry(".commitments", i)); ++i) {
            string memory at = entry(".commitments", i);
            vm.assertEq(Masks.commitment(bytes16(bytesAt(at, ".seed"))), wordAt(at, ".commitment"));
        }
        vm.assertEq(i, 12);
    }

    function testHkdf() public view {
        uint256 i;
        for (; vm.keyExistsJson(vectors, entry(".hkdf", i)); ++i) {
            string memory at = entry(".hkdf", i);
            bytes32 key = Masks.derived(bytesAt(at, ".secret"), wordAt(at, ".salt"), bytesAt(at, ".info"));
            vm.assertEq(key, wordAt(at, ".key"));
        }
        vm.assertEq(i, 12);
    }

    function testX25519() public view {
        uint256 i;
        for (; vm.keyExistsJson(vectors, entry(".x25519", i)); ++i) {
            string memory at = entry(".x25519", i);
            vm.assertEq(Masks.x25519(wordAt(at, ".private"), wordAt(at, ".point")), wordAt(at, ".secret"));
        }
        vm.assertEq(i, 12);
    }

    function testChaCha20() public view {
        uint256 i;
        for (; vm.keyExistsJson(vectors, entry(".chacha20", i)); ++i) {
            string memory at = entry(".chacha20", i);
            bytes32 key = wordAt(at, ".key");
            uint64 chunk = uint64(vm.parseJsonUint(vectors, string.concat(at, ".chunk")));
            uint256 count = vm.parseJsonUint(vectors, string.concat(at, ".count"));
            vm.assertEq(hashOf(Masks.stream(key, chunk, false, 1024)), wordAt(at, ".hash"));
            vm.assertEq(hashOf(Masks.stream(key, chunk, true, count)), wordAt(at, ".turned_hash"));
        }
        vm.assertEq(i, 7);
    }
}
