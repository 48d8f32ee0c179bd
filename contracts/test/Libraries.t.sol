// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Lanes } from "../libraries/Lanes.sol";
import { PartialSums } from "../libraries/PartialSums.sol";
import { Seals } from "../libraries/Seals.sol";
import "./ChallengeTest.sol";

/// @notice The contract's libraries, with their arguments where the contract has them: in calldata.
contract Libraries {
    function sum(bytes calldata chunks) external pure returns (bytes memory) {
        return Lanes.sum(chunks);
    }

    function applied(bytes calldata base, bytes calldata total, uint256 fractionBits, uint256 divisor)
        external
        pure
        returns (bytes memory)
    {
        return Lanes.applied(base, total, fractionBits, divisor);
    }

    function laneAt(bytes calldata chunk, uint256 lane) external pure returns (int256) {
        return Lanes.laneAt(chunk, lane);
    }

    function hashAt(bytes calldata content, uint256 start) external pure returns (bytes32) {
        return Chunks.hashAt(content, start);
    }

    function rootOf(bytes32 chunkHash, uint256 chunk, bytes32[] calldata path) external pure returns (bytes32) {
        return Chunks.rootOf(chunkHash, chunk, path);
    }

    function sealedRoot(Opening calldata opening, uint64 chainId, address ledger, uint32 round)
        external
        pure
        returns (bytes32)
    {
        return Seals.sealedRoot(opening, chainId, ledger, round);
    }
}

/// @notice The libraries against the plainest way to say the same, over drawn input.
contract LibrariesTest is ChallengeTest {
    using Vectors for bytes;

    Libraries private libraries;

    function setUp() public override {
        libraries = new Libraries();
    }

    /// @notice Random words; where `isExtreme`, many lanes at the borders of their range.
    function drawn(uint256 seed, uint256 length, bool isExtreme) private pure returns (bytes memory content) {
        content = new bytes(length);
        for (uint256 at; at < length; at += 32) {
            uint256 word = uint256(keccak256(abi.encode(seed, at)));
            if (isExtreme) word = extreme(word);
            assembly ("memory-safe") {
                mstore(add(add(content, 32), at), word)
            }
        }
    }

    function extreme(uint256 word) private pure returns (uint256 borders) {
        uint32[8] memory lanes = [uint32(0), 1, 0xffffffff, 0x7fffffff, 0x80000000, 0x80000001, 0x7ffffffe, 2];
        for (uint256 i; i < 8; ++i) {
            borders = borders << 32 | lanes[word >> 8 * i & 7];
        }
    }

    // ------------------------------------------------------------------ lanes

    /// forge-config: default.fuzz.runs = 64
    function testSum(uint256 seed, uint256 count, bool isExtreme) public view {
        count = bound(count, 0, 8);
        bytes memory chunks = drawn(seed, count * 4096, isExtreme);
        bytes[] memory parts = new bytes[](count + 1);
        parts[0] = new bytes(4096);
        for (uint256 i; i < count; ++i) {
            parts[i + 1] = chunks.chunkAt(i);
        }
        bytes memory expected = Vectors.sum(parts, 0, parts.length);
        vm.assertEq(keccak256(libraries.sum(chunks)), keccak256(expected));
    }

    function testEightOfTheHighestLanes() public view {
        bytes memory chunks = new bytes(8 * 4096);
        for (uint256 i; i < chunks.length; ++i) {
            chunks[i] = 0xff;
        }
        bytes memory total = libraries.sum(chunks);
        for (uint256 lane; lane < 1024; ++lane) {
            vm.assertEq(uint256(total.get(lane)), uint256(uint32(type(uint32).max - 7)));
        }
    }

    /// forge-config: default.fuzz.runs = 128
    function testApplied(uint256 seed, uint256 fractionBits, uint256 scaleBits, uint256 weight, bool isExtreme)
        public
        view
    {
        fractionBits = bound(fractionBits, 8, 24);
        scaleBits = bound(scaleBits, 0, 40);
        weight = bound(weight, 1, Vectors.smaller(type(uint32).max, (2 ** 61 - 1) >> scaleBits));
        if (seed % 4 == 0) weight = 1;
        bytes memory base = drawn(seed, 4096, isExtreme);
        bytes memory total = drawn(seed ^ 1, 4096, isExtreme);
        bytes memory expected = Vectors.applied(base, total, fractionBits, weight << scaleBits);
        bytes memory model = libraries.applied(base, total, fractionBits, weight << scaleBits);
        vm.assertEq(keccak256(model), keccak256(expected));
    }

    /// @notice Halves go up, below zero too; and what leaves the range of a lane stops at its border.
    function testRounding() public view {
        int32[10] memory changes = [int32(-513), -512, -511, -257, -256, 255, 256, 257, 511, -1];
        int32[10] memory expected = [int32(-1), -1, -1, -1, 0, 0, 1, 1, 1, 0];
        bytes memory total = new bytes(4096);
        for (uint256 i; i < 10; ++i) {
            total.set(i, uint32(changes[i]));
        }
        // d = 2^17, so that 512 lanes of the sum move the model by one.
        bytes memory model = libraries.applied(new bytes(4096), total, 8, 1 << 17);
        for (uint256 i; i < 10; ++i) {
            vm.assertEq(uint256(model.get(i)), uint256(uint32(expected[i])));
        }
    }

    function testLaneAt(uint256 seed, uint256 lane, bool isExtreme) public view {
        lane = lane % 1024;
        bytes memory chunk = drawn(seed, 4096, isExtreme);
        vm.assertTrue(libraries.laneAt(chunk, lane) == int256(int32(chunk.get(lane))));
    }

    // ------------------------------------------------------------------ chunks

    function testDepthOf(uint256 lanes) public pure {
        lanes = bound(lanes, 1, 2 ** 32);
        uint256 depth = Chunks.depthOf(lanes);
        vm.assertTrue(1024 << depth >= lanes);
        vm.assertTrue(depth == 0 || 1024 << depth - 1 < lanes);
    }

    function testDepthOfAtEveryBorder() public pure {
        vm.assertEq(Chunks.depthOf(1), 0);
        for (uint256 depth; depth <= 22; ++depth) {
            vm.assertEq(Chunks.depthOf(1024 << depth), depth);
            if (depth < 22) vm.assertEq(Chunks.depthOf((1024 << depth) + 1), depth + 1);
        }
    }

    function testHashAt(uint256 seed, uint256 start) public view {
        bytes memory content = drawn(seed, 3 * 4096, false);
        start = bound(start, 0, 2 * 4096);
        bytes memory chunk = Vectors.resized(content.tail(start), 4096);
        vm.assertEq(libraries.hashAt(content, start), chunk.chunkHash(0));
        vm.assertEq(Chunks.hashOf(chunk), chunk.chunkHash(0));
    }

    /// forge-config: default.fuzz.runs = 64
    function testRootOf(uint256 seed, uint256 depth, uint256 chunk) public view {
        depth = bound(depth, 0, 7);
        chunk = chunk % (1 << depth);
        bytes32[] memory level = new bytes32[](1 << depth);
        for (uint256 i; i < level.length; ++i) {
            level[i] = keccak256(abi.encode(seed, i));
        }
        bytes32 chunkHash = level[chunk];
        bytes32[] memory path = new bytes32[](depth);
        for (uint256 i; i < depth; ++i) {
            path[i] = level[chunk >> i ^ 1];
            level = Vectors.above(level);
        }
        vm.assertEq(libraries.rootOf(chunkHash, chunk, path), level[0]);
    }

    // ------------------------------------------------------------------ partial sums

    function testCount(uint16 submissions) public pure {
        vm.assume(submissions != 0);
        vm.assertEq(PartialSums.count(submissions), listLength(submissions));
    }

    function testSummands(uint16 submissions, uint256 index) public pure {
        vm.assume(submissions != 0);
        index = index % listLength(submissions);
        (bool isFirstLevel, uint256 first, uint256 last) = PartialSums.summands(index, submissions);
        (bool expectedLevel, uint256 expectedFirst, uint256 expectedLast) = summandsOf(index, submissions);
        vm.assertEq(isFirstLevel, expectedLevel);
        vm.assertEq(first, expectedFirst);
        vm.assertEq(last, expectedLast);
    }

    /// @notice Every submission, and every listed sum but the total, is in exactly one sum; they follow one another.
    function testEverythingIsAddedUpOnce() public pure {
        for (uint256 submissions = 1; submissions <= 600; submissions += submissions < 80 ? 1 : 65) {
            uint256 nextSubmission;
            uint256 nextSum;
            uint256 count = PartialSums.count(submissions);
            for (uint256 index; index < count; ++index) {
                (bool isFirstLevel, uint256 first, uint256 last) = PartialSums.summands(index, submissions);
                vm.assertTrue(first < last && last - first <= 8);
                vm.assertEq(first, isFirstLevel ? nextSubmission : nextSum);
                if (isFirstLevel) nextSubmission = last;
                else nextSum = last;
                vm.assertTrue(isFirstLevel || last <= index);
            }
            vm.assertEq(nextSubmission, submissions);
            vm.assertEq(nextSum, count - 1);
        }
    }
}

/// @notice The libraries against the shared vectors.
contract LibraryVectorsTest is ChallengeTest {
    using Vectors for bytes;

    Libraries private libraries;
    string private commitment;
    string private proofs;

    function setUp() public override {
        libraries = new Libraries();
        commitment = vm.readFile("../tests/vectors/commitment.json");
        proofs = vm.readFile("../tests/vectors/proofs.json");
    }

    function entry(string memory list, uint256 i) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }

    /// @notice Update `number` of the shared vectors, padded to whole chunks.
    function vectorOf(uint256 number, uint256 lanes) private pure returns (bytes memory vector) {
        vector = Vectors.zero(lanes);
        unchecked {
            for (uint256 lane; lane < lanes; ++lane) {
                vector.set(lane, uint32(number * 2654435761 + lane * 40503));
            }
        }
    }

    function testChunkPaths() public view {
        uint256 cases;
        for (string memory at = entry(".chunk_proofs", 0); vm.keyExistsJson(proofs, at);) {
            verifyChunkPaths(at);
            at = entry(".chunk_proofs", ++cases);
        }
        vm.assertEq(cases, 9);
    }

    function verifyChunkPaths(string memory at) private view {
        uint256 lanes = vm.parseJsonUint(proofs, string.concat(at, ".dimension"));
        bytes memory vector = vectorOf(vm.parseJsonUint(proofs, string.concat(at, ".update")), lanes);
        bytes32 root = vm.parseJsonBytes32(proofs, string.concat(at, ".vector_root"));
        for (uint256 chunk; chunk < vector.chunkCount(); ++chunk) {
            string memory one = entry(string.concat(at, ".chunks"), chunk);
            bytes32 chunkHash = vm.parseJsonBytes32(proofs, string.concat(one, ".chunk_hash"));
            bytes32[] memory path = vm.parseJsonBytes32Array(proofs, string.concat(one, ".path"));
            vm.assertEq(path.length, Chunks.depthOf(lanes));
            vm.assertEq(libraries.hashAt(vector, chunk * 4096), chunkHash);
            vm.assertEq(libraries.rootOf(chunkHash, chunk, path), root);
        }
    }

    function testGroupings() public view {
        uint256 cases;
        for (string memory at = entry(".groupings", 0); vm.keyExistsJson(proofs, at);) {
            verifyGrouping(at);
            at = entry(".groupings", ++cases);
        }
        vm.assertEq(cases, 9);
    }

    /// @dev The vectors of one chunk, so that a chunk's hash is a root.
    function verifyGrouping(string memory at) private view {
        uint256 submissions = vm.parseJsonUint(proofs, string.concat(at, ".submissions"));
        uint256[] memory excluded = vm.parseJsonUintArray(proofs, string.concat(at, ".excluded"));
        bytes32[] memory listed = vm.parseJsonBytes32Array(proofs, string.concat(at, ".partial_sum_roots"));
        vm.assertEq(PartialSums.count(submissions), listed.length);
        bool[] memory isLeftOut = new bool[](submissions);
        for (uint256 i; i < excluded.length; ++i) {
            isLeftOut[excluded[i]] = true;
        }
        bytes[] memory sums = new bytes[](listed.length);
        for (uint256 index; index < listed.length; ++index) {
            (bool isFirstLevel, uint256 first, uint256 last) = PartialSums.summands(index, submissions);
            bytes memory chunks;
            for (uint256 i = first; i < last; ++i) {
                if (!isFirstLevel) chunks = bytes.concat(chunks, sums[i]);
                else if (!isLeftOut[i]) chunks = bytes.concat(chunks, vectorOf(i + 1, 5));
            }
            sums[index] = libraries.sum(chunks);
            vm.assertEq(Chunks.hashOf(sums[index]), listed[index]);
        }
        uint256[] memory total = vm.parseJsonUintArray(proofs, string.concat(at, ".total"));
        for (uint256 lane; lane < 5; ++lane) {
            vm.assertEq(uint256(sums[listed.length - 1].get(lane)), total[lane]);
        }
    }

    function testApplied() public view {
        for (uint256 i; i < 2; ++i) {
            string memory at = entry(".apply", i);
            uint256 divisor = vm.parseJsonUint(commitment, string.concat(at, ".weight"))
                << vm.parseJsonUint(commitment, string.concat(at, ".scale_bits"));
            uint256[] memory expected = vm.parseJsonUintArray(commitment, string.concat(at, ".model"));
            bytes memory model = libraries.applied(
                chunkOf(string.concat(at, ".base")),
                chunkOf(string.concat(at, ".sum")),
                vm.parseJsonUint(commitment, string.concat(at, ".fraction_bits")),
                divisor
            );
            for (uint256 lane; lane < expected.length; ++lane) {
                vm.assertEq(uint256(model.get(lane)), expected[lane]);
            }
        }
    }

    function chunkOf(string memory key) private view returns (bytes memory chunk) {
        uint256[] memory lanes = vm.parseJsonUintArray(commitment, key);
        chunk = new bytes(4096);
        for (uint256 lane; lane < lanes.length; ++lane) {
            chunk.set(lane, uint32(lanes[lane]));
        }
    }

    function testSeals() public view {
        uint64 chainId = uint64(vm.parseJsonUint(commitment, ".chain_id"));
        address place = vm.parseJsonAddress(commitment, ".ledger");
        uint32 number = uint32(vm.parseJsonUint(commitment, ".round"));
        uint256 seen;
        for (uint256 i; i < 5; ++i) {
            string memory list = string.concat(entry(".cases", i), ".participants");
            for (uint256 k; vm.keyExistsJson(commitment, entry(list, k)); ++k) {
                string memory at = entry(list, k);
                Opening memory one = Opening(
                    vm.parseJsonBytes32(commitment, string.concat(at, ".vector_root")),
                    bytes32((k + 1) * (type(uint256).max / 255)),
                    uint32(vm.parseJsonUint(commitment, string.concat(at, ".weight"))),
                    vm.parseJsonAddress(commitment, string.concat(at, ".address"))
                );
                bytes32 root = libraries.sealedRoot(one, chainId, place, number);
                vm.assertEq(root, vm.parseJsonBytes32(commitment, string.concat(at, ".sealed_root")));
                bytes32 expected = vm.parseJsonBytes32(commitment, string.concat(at, ".leaf"));
                vm.assertEq(Seals.leaf(root, one.weight, one.participant), expected);
                ++seen;
            }
        }
        vm.assertEq(seen, 26);
    }
}
