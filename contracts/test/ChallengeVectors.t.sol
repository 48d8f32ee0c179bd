// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./ChallengeTest.sol";

/// @notice Proofs of lies and their near misses, byte for byte as the shared vectors have them.
contract ChallengeVectorsTest is ChallengeTest {
    using Vectors for bytes;

    /// @dev Where the present challenge stands in the file.
    string private place;

    function setUp() public override {
        vm.warp(START);
        vm.chainId(vm.parseJsonUint(vectors(), ".chain_id"));
    }

    // ------------------------------------------------------------------ who and what

    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.maxTotalWeight = 1_000_000;
    }

    function worker(uint256 i) internal pure override returns (address) {
        return address(bytes20(sha256(abi.encodePacked("participant", uint8(i + 1)))));
    }

    function weightOf(uint256 i) internal pure override returns (uint32) {
        return uint32(2 * (i + 1) + 3);
    }

    function saltOf(uint256 i) internal view override returns (bytes32) {
        return bytes32((i + 1 + saltSeed) * (type(uint256).max / 255));
    }

    /// @dev Read each time: out of the contract's storage it would take longer.
    function vectors() private view returns (string memory) {
        return vm.readFile("../tests/vectors/challenges.json");
    }

    function at(string memory field) private view returns (string memory) {
        return string.concat(place, field);
    }

    function hashAt(string memory field) private view returns (bytes32) {
        return vm.parseJsonBytes32(vectors(), at(field));
    }

    function numberAt(string memory field) private view returns (uint256) {
        return vm.parseJsonUint(vectors(), at(field));
    }

    function textAt(string memory field) private view returns (string memory) {
        return vm.parseJsonString(vectors(), at(field));
    }

    function isText(string memory left, string memory right) private pure returns (bool) {
        return keccak256(bytes(left)) == keccak256(bytes(right));
    }

    // ------------------------------------------------------------------ the rounds

    function testRounds() public {
        uint256 count;
        for (string memory path = ".rounds[0]"; vm.keyExistsJson(vectors(), path);) {
            this.verifyHonest(path);
            uint256 challenges;
            while (this.verifyChallenge(path, challenges)) {
                ++challenges;
            }
            vm.assertTrue(challenges != 0);
            path = string.concat(".rounds[", vm.toString(++count), "]");
        }
        vm.assertTrue(count != 0);
    }

    /// @notice Takes the round's size from the file and draws its vectors.
    function readRound(string memory path) private returns (Work memory made) {
        place = path;
        dimension = numberAt(".dimension");
        bool[] memory excluded = new bool[](numberAt(".submissions"));
        uint256[] memory left = vm.parseJsonUintArray(vectors(), at(".excluded"));
        for (uint256 i; i < left.length; ++i) {
            excluded[left[i]] = true;
        }
        made = vectorsOf(excluded);
        vm.assertEq(made.base.root(), hashAt(".base_model_root"));
    }

    function start(Work memory made) private {
        deployAt(vm.parseJsonAddress(vectors(), ".ledger"), definition(), rules());
        submitWork(made);
    }

    /// @dev A call of its own, as the next one, so that its memory is given back.
    function verifyHonest(string memory path) external {
        uint256 snapshot = vm.snapshotState();
        Work memory made = readRound(path);
        start(made);
        vm.assertEq(ledger.digestOf(1), hashAt(".digest"));
        aggregate(made, noLie());
        vm.assertEq(sha256(abi.encodePacked(bytes1(0x03), roots(made))), hashAt(".sums_hash"));
        vm.assertEq(made.model.root(), hashAt(".model_root"));
        vm.revertToState(snapshot);
    }

    /// @return isThere whether the round has so many challenges.
    function verifyChallenge(string memory path, uint256 i) external returns (bool isThere) {
        string memory one = string.concat(path, ".challenges[", vm.toString(i), "]");
        if (!vm.keyExistsJson(vectors(), one)) return false;

        uint256 snapshot = vm.snapshotState();
        Work memory made = readRound(path);
        place = one;
        string memory what = textAt(".lie.what");
        uint256 spot = numberAt(".lie.place");
        uint256 lane = numberAt(".lie.lane");
        int256 number = vm.parseJsonInt(vectors(), at(".lie.number"));
        if (isText(what, "update")) made.updates[spot].set(lane, uint32(int32(number)));
        start(made);
        aggregate(made, isText(what, "sum") ? Lie(spot, lane, uint32(uint256(number))) : noLie());
        if (isText(what, "model")) made.model.add(lane, uint32(uint256(number)));
        postWork(1, AGGREGATOR, made);
        vm.assertEq(ledger.sumsHashOf(1), hashAt(".sums_hash"));
        vm.assertEq(ledger.modelRootOf(1), hashAt(".model_root"));

        if (isText(what, "sum")) verifySum(made, sumProof(made, spot, lane / 1024));
        if (isText(what, "update")) verifyRange(made, rangeProof(made, spot, lane));
        if (isText(what, "model")) verifyApply(applyProof(made, lane / 1024));
        verifyFallen(1, 1);
        vm.revertToState(snapshot);
        return true;
    }

    // ------------------------------------------------------------------ near misses

    function missAt(uint256 i) private view returns (string memory) {
        string memory field = string.concat(".near_misses[", vm.toString(i), "]");
        return vm.keyExistsJson(vectors(), at(field)) ? textAt(string.concat(field, ".name")) : "";
    }

    /// @dev The number of near misses that were tried counts: none may be one that is not known here.
    function verifyMiss(uint256 i, bytes4 selector, bytes memory arguments) private {
        string memory field = string.concat(".near_misses[", vm.toString(i), "]");
        string memory name = textAt(string.concat(field, ".name"));
        vm.assertEq(sha256(arguments), hashAt(string.concat(field, ".arguments_sha256")), name);
        string memory error_ = textAt(string.concat(field, ".error"));
        (bool isAccepted, bytes memory answer) = address(ledger).call(bytes.concat(selector, arguments));
        vm.assertFalse(isAccepted, name);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(selectorOf(error_)), name);
    }

    function selectorOf(string memory error_) private pure returns (bytes4 selector) {
        if (isText(error_, "WrongLength")) selector = ITrainingLedger.WrongLength.selector;
        if (isText(error_, "ChunkOutOfBounds")) selector = ITrainingLedger.ChunkOutOfBounds.selector;
        if (isText(error_, "LaneOutOfBounds")) selector = ITrainingLedger.LaneOutOfBounds.selector;
        if (isText(error_, "IndexOutOfBounds")) selector = ITrainingLedger.IndexOutOfBounds.selector;
        if (isText(error_, "PathMismatch")) selector = ITrainingLedger.PathMismatch.selector;
        if (isText(error_, "LeafMismatch")) selector = ITrainingLedger.LeafMismatch.selector;
        if (isText(error_, "WrongPartialSums")) selector = ITrainingLedger.WrongPartialSums.selector;
    }

    function verifyAccepted(bytes4 selector, bytes memory arguments) private {
        vm.assertEq(arguments.length, numberAt(".arguments_bytes"));
        vm.assertEq(sha256(arguments), hashAt(".arguments_sha256"), "the proof itself");
        (bool isAccepted,) = address(ledger).call(bytes.concat(selector, arguments));
        vm.assertTrue(isAccepted);
    }

    function shorter(bytes32[] memory list) private pure returns (bytes32[] memory) {
        return Vectors.without(list, 0, 1);
    }

    function longer(bytes32[] memory list) private pure returns (bytes32[] memory) {
        return Vectors.joined(list, new bytes32[](1));
    }

    function rootMissing(bytes32[] memory list) private pure returns (bytes32[] memory) {
        return Vectors.without(list, list.length - 1, list.length);
    }

    function rootAdded(bytes32[] memory list) private pure returns (bytes32[] memory) {
        return Vectors.joined(list, Vectors.only(list[list.length - 1]));
    }

    function flipped(bytes memory content) private pure returns (bytes memory other) {
        other = bytes.concat(content);
        other[0] ^= 0x01;
    }

    function firstIncluded(Work memory made, uint256 first) private pure returns (uint256 i) {
        i = first;
        while (made.excluded[i]) {
            ++i;
        }
    }

    function verifySum(Work memory made, SumProof memory proof) private {
        bytes4 selector = ITrainingLedger.challengeSum.selector;
        bytes memory right = abi.encode(uint32(1), proof);
        for (uint256 i; bytes(missAt(i)).length != 0; ++i) {
            string memory name = missAt(i);
            (, SumProof memory miss) = abi.decode(right, (uint32, SumProof));
            bool isExcludedChild = isText(name, "excluded child");
            if (isExcludedChild) miss = withTheExcluded(made, proof);
            else changeSum(made, name, miss);
            bytes memory arguments = abi.encode(uint32(1), miss);
            if (isText(name, "trailing byte")) arguments = bytes.concat(arguments, bytes1(0));
            if (isText(name, "short content")) arguments = withoutByte(miss, 4095);
            verifyMiss(i, selector, arguments);
        }
        verifyAccepted(selector, right);
    }

    function withTheExcluded(Work memory made, SumProof memory proof) private view returns (SumProof memory miss) {
        bool[] memory excluded = made.excluded;
        made.excluded = noOneOf(excluded.length);
        miss = sumProof(made, proof.index, proof.chunk);
        made.excluded = excluded;
    }

    /// @dev Its first chunk without its last byte; what follows moves up.
    function withoutByte(SumProof memory miss, uint256 position) private pure returns (bytes memory) {
        bytes memory head = Vectors.resized(miss.chunks, position);
        miss.chunks = bytes.concat(head, Vectors.tail(miss.chunks, position + 1));
        return abi.encode(uint32(1), miss);
    }

    function changeSum(Work memory made, string memory name, SumProof memory miss) private {
        uint256 depth = miss.path.length;
        (, uint256 first,) = summandsOf(miss.index, made.updates.length);
        if (isText(name, "chunk beyond")) miss.chunk = uint64(made.base.chunkCount());
        if (isText(name, "longer path")) miss.path = longer(miss.path);
        if (isText(name, "shorter path")) miss.path = shorter(miss.path);
        if (isText(name, "another content")) miss.chunks = flipped(miss.chunks);
        if (isText(name, "root missing")) miss.partialSumRoots = rootMissing(miss.partialSumRoots);
        if (isText(name, "root added")) miss.partialSumRoots = rootAdded(miss.partialSumRoots);
        if (isText(name, "node as chunk")) miss.chunkHash = Vectors.nodeHash(miss.chunkHash, miss.path[0]);
        if (isText(name, "index beyond")) miss.index = uint16(miss.partialSumRoots.length);
        if (isText(name, "child missing")) {
            miss.chunks = Vectors.resized(miss.chunks, miss.chunks.length - 4096);
            miss.paths = Vectors.without(miss.paths, miss.paths.length - depth, miss.paths.length);
            if (miss.openings.length != 0) miss.openings = firstOf(miss.openings, miss.openings.length - 1);
        }
        if (isText(name, "child twice")) {
            miss.chunks = bytes.concat(miss.chunks, Vectors.tail(miss.chunks, miss.chunks.length - 4096));
            bytes32[] memory last = Vectors.without(miss.paths, 0, miss.paths.length - depth);
            miss.paths = Vectors.joined(miss.paths, last);
            if (miss.openings.length != 0) miss.openings = firstOf(miss.openings, miss.openings.length + 1);
        }
        if (isText(name, "other round")) {
            saltSeed = 128;
            miss.openings[0].salt = saltOf(firstIncluded(made, first));
            saltSeed = 0;
        }
    }

    /// @dev So many of them, the last one twice where there are fewer.
    function firstOf(Opening[] memory list, uint256 count) private pure returns (Opening[] memory some) {
        some = new Opening[](count);
        for (uint256 i; i < count; ++i) {
            some[i] = list[i < list.length ? i : list.length - 1];
        }
    }

    function verifyRange(Work memory made, RangeProof memory proof) private {
        bytes4 selector = ITrainingLedger.challengeRange.selector;
        bytes memory right = abi.encode(uint32(1), proof);
        for (uint256 i; bytes(missAt(i)).length != 0; ++i) {
            string memory name = missAt(i);
            (, RangeProof memory miss) = abi.decode(right, (uint32, RangeProof));
            if (isText(name, "chunk beyond")) miss.chunk = uint64(made.base.chunkCount());
            if (isText(name, "longer path")) miss.path = longer(miss.path);
            if (isText(name, "shorter path")) miss.path = shorter(miss.path);
            if (isText(name, "another content")) miss.content = flipped(miss.content);
            if (isText(name, "short content")) miss.content = Vectors.resized(miss.content, 4095);
            if (isText(name, "lane beyond")) miss.lane = 1024;
            if (isText(name, "index beyond")) miss.index = uint16(made.updates.length);
            if (isText(name, "other round")) {
                saltSeed = 128;
                miss.opening.salt = saltOf(miss.index);
                saltSeed = 0;
            }
            bytes memory arguments = abi.encode(uint32(1), miss);
            if (isText(name, "trailing byte")) arguments = bytes.concat(arguments, bytes1(0));
            verifyMiss(i, selector, arguments);
        }
        verifyAccepted(selector, right);
    }

    function verifyApply(ApplyProof memory proof) private {
        bytes4 selector = ITrainingLedger.challengeApply.selector;
        bytes memory right = abi.encode(uint32(1), proof);
        for (uint256 i; bytes(missAt(i)).length != 0; ++i) {
            string memory name = missAt(i);
            (, ApplyProof memory miss) = abi.decode(right, (uint32, ApplyProof));
            if (isText(name, "chunk beyond")) miss.chunk = uint64(1 << miss.basePath.length);
            if (isText(name, "longer path")) miss.basePath = longer(miss.basePath);
            if (isText(name, "shorter path")) miss.basePath = shorter(miss.basePath);
            if (isText(name, "another content")) miss.baseContent = flipped(miss.baseContent);
            if (isText(name, "short content")) miss.baseContent = Vectors.resized(miss.baseContent, 4095);
            if (isText(name, "root missing")) miss.partialSumRoots = rootMissing(miss.partialSumRoots);
            if (isText(name, "root added")) miss.partialSumRoots = rootAdded(miss.partialSumRoots);
            if (isText(name, "node as chunk")) {
                miss.modelChunkHash = Vectors.nodeHash(miss.modelChunkHash, miss.modelPath[0]);
            }
            bytes memory arguments = abi.encode(uint32(1), miss);
            if (isText(name, "trailing byte")) arguments = bytes.concat(arguments, bytes1(0));
            verifyMiss(i, selector, arguments);
        }
        verifyAccepted(selector, right);
    }
}
