// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Chunks } from "../libraries/Chunks.sol";
import "./LedgerTest.sol";
import { Vectors } from "./Vectors.sol";

/// @notice Rounds of real vectors, what honest and lying aggregators make of them, and the proofs of the lies.
/// @dev Written as the protocol says it, lane by lane and level by level, apart from the contract's libraries.
abstract contract ChallengeTest is LedgerTest {
    using Vectors for bytes;

    /// @notice A round's vectors, each padded to whole chunks, their number a power of two.
    struct Work {
        bytes base;
        bytes[] updates;
        bool[] excluded;
        /// @dev As a posting lists them: level 1 first, the total last.
        bytes[] sums;
        bytes model;
    }

    /// @notice One lane that is not what it should be.
    struct Lie {
        uint256 index;
        uint256 lane;
        uint32 delta;
    }

    uint256 internal dimension = 3000;
    /// @dev A proof that `setUp` made: the vectors behind it take long to make.
    bytes internal saved;
    uint256 internal saltSeed;
    uint256 internal constant NO_LIE = type(uint256).max;
    uint32 internal constant CLIP = 1000;

    function rules() internal view virtual override returns (Policy memory policy) {
        policy = super.rules();
        policy.quorum = 1;
        policy.clipLanes = CLIP;
    }

    function weightCap() internal view override returns (uint32) {
        return rules().maxTotalWeight;
    }

    function definition() internal view override returns (RunDefinition memory run) {
        run = super.definition();
        run.dimension = uint64(dimension);
        run.genesisModelRoot = base().root();
    }

    /// @notice Deploys a ledger for vectors of so many lanes.
    function deployFor(uint256 lanes) internal {
        dimension = lanes;
        deploy(rules(), address(0));
    }

    /// @notice Dimensions on both sides of the borders of chunks, one with a padding chunk.
    function someDimension(uint256 seed) internal pure returns (uint256) {
        uint256[8] memory lanes = [uint256(1), 3, 1023, 1024, 1025, 2048, 2049, 3100];
        return lanes[seed % 8];
    }

    /// @notice Whom a round leaves out, never everyone.
    function someExclusions(uint256 seed, uint256 count) internal pure returns (bool[] memory excluded) {
        excluded = new bool[](count);
        uint256 kept = seed % count;
        for (uint256 i; i < count; ++i) {
            excluded[i] = i != kept && (seed >> (8 + i)) & 1 == 1;
        }
    }

    function paddedLanes() internal view returns (uint256) {
        return Vectors.zero(dimension).lanesOf();
    }

    // ------------------------------------------------------------------ vectors

    function base() internal view returns (bytes memory vector) {
        vector = Vectors.zero(dimension);
        unchecked {
            for (uint256 lane; lane < dimension; ++lane) {
                vector.set(lane, uint32(lane * 2246822519 + 374761393));
            }
        }
    }

    /// @notice Participant `i`'s update, within its bounds.
    function update(uint256 i) internal view returns (bytes memory vector) {
        vector = Vectors.zero(dimension);
        uint256 clip = uint256(rules().clipLanes) * weightOf(i);
        unchecked {
            for (uint256 lane; lane < dimension; ++lane) {
                uint256 number = uint32((i + 1) * 2654435761 + lane * 40503);
                vector.set(lane, uint32(number % (2 * clip + 1) - clip));
            }
        }
    }

    function saltOf(uint256 i) internal view virtual returns (bytes32) {
        return keccak256(abi.encode("salt", saltSeed, i));
    }

    function opening(uint256 i, bytes memory vector) internal view returns (Opening memory) {
        return Opening(vector.root(), saltOf(i), weightOf(i), worker(i));
    }

    function seal(Opening memory open_, uint32 number) internal view returns (bytes32) {
        bytes memory place = abi.encodePacked(uint64(block.chainid), address(ledger), uint64(number));
        return sha256(abi.encodePacked(bytes1(0x04), open_.vectorRoot, open_.salt, place, open_.participant));
    }

    // ------------------------------------------------------------------ a round

    function noOneOf(uint256 count) internal pure returns (bool[] memory) {
        return new bool[](count);
    }

    function noLie() internal pure returns (Lie memory) {
        return Lie(NO_LIE, 0, 0);
    }

    /// @notice The vectors of `count` participants, not summed yet.
    function vectorsOf(bool[] memory excluded) internal view returns (Work memory made) {
        uint256 count = excluded.length;
        made.base = base();
        made.updates = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            made.updates[i] = update(i);
        }
        made.excluded = excluded;
    }

    /// @notice Sums and applies again, with one lane of one sum changed and all that follows from it.
    function aggregate(Work memory made, Lie memory lie) internal view {
        uint256 count = made.updates.length;
        made.sums = new bytes[](listLength(count));
        bytes[] memory below = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            below[i] = made.excluded[i] ? Vectors.zero(dimension) : made.updates[i];
        }
        uint256 listed;
        while (listed == 0 || below.length > 1) {
            bytes[] memory level = new bytes[]((below.length + 7) / 8);
            for (uint256 group; group < level.length; ++group) {
                level[group] = Vectors.sum(below, 8 * group, Vectors.smaller(8 * group + 8, below.length));
                if (listed == lie.index) level[group].add(lie.lane, lie.delta);
                made.sums[listed++] = level[group];
            }
            below = level;
        }
        made.model = modelAfter(made);
    }

    function modelAfter(Work memory made) internal view returns (bytes memory) {
        Policy memory policy = rules();
        bytes memory total = made.sums[made.sums.length - 1];
        return Vectors.applied(made.base, total, policy.fractionBits, includedWeight(made) << policy.scaleBits);
    }

    function includedWeight(Work memory made) internal view returns (uint256 weight) {
        for (uint256 i; i < made.updates.length; ++i) {
            if (!made.excluded[i]) weight += weightOf(i);
        }
    }

    function listLength(uint256 count) internal pure returns (uint256 length) {
        uint256 size = count;
        while (length == 0 || size > 1) {
            size = (size + 7) / 8;
            length += size;
        }
    }

    function roots(Work memory made) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](made.sums.length);
        for (uint256 i; i < list.length; ++i) {
            list[i] = made.sums[i].root();
        }
    }

    /// @notice Round 1 of a new ledger, posted by the named aggregator as it should be but for one lane.
    function postLie(uint256 lanes, bool[] memory excluded, Lie memory lie) internal returns (Work memory made) {
        deployFor(lanes);
        made = vectorsOf(excluded);
        submitWork(made);
        aggregate(made, lie);
        postWork(1, AGGREGATOR, made);
    }

    /// @notice Opens round 1 and lets the participants submit these very updates, which closes it.
    function submitWork(Work memory made) internal {
        open(made.updates.length);
        submitUpdates(made);
    }

    function submitUpdates(Work memory made) internal {
        uint32 number = latest();
        bytes32 root = baseRoot();
        for (uint256 i; i < made.updates.length; ++i) {
            bytes32 sealedOne = seal(opening(i, made.updates[i]), number);
            vm.prank(worker(i));
            ledger.submit(number, root, sealedOne, weightOf(i));
        }
    }

    function exclusionsOf(uint32 number, Work memory made) internal view returns (Exclusion[] memory list) {
        list = new Exclusion[](made.updates.length);
        uint256 count;
        for (uint16 i; i < made.updates.length; ++i) {
            if (!made.excluded[i]) continue;
            bytes32 sealedOne = seal(opening(i, made.updates[i]), number);
            list[count++] = Exclusion(i, 3, weightOf(i), worker(i), sealedOne);
        }
        assembly ("memory-safe") {
            mstore(list, count)
        }
    }

    function postWork(uint32 number, address poster, Work memory made) internal {
        Exclusion[] memory exclusions = exclusionsOf(number, made);
        if (exclusions.length != 0) pass(rules().publicationSeconds);
        bytes32 digest = ledger.digestOf(number);
        bytes32[] memory list = roots(made);
        bytes32 root = made.model.root();
        // Hashes are calls of a precompile: none may come between the prank and the call that is meant.
        vm.prank(poster);
        ledger.post(number, digest, exclusions, list, 0, 0, root);
    }

    // ------------------------------------------------------------------ proofs

    /// @notice Where a listed sum's summands stand: in the round for level 1, else in the list.
    function summandsOf(uint256 index, uint256 count)
        internal
        pure
        returns (bool isFirstLevel, uint256 first, uint256 last)
    {
        uint256 below = count;
        uint256 start;
        uint256 size = (count + 7) / 8;
        uint256 startBelow;
        isFirstLevel = true;
        while (index >= start + size) {
            startBelow = start;
            start += size;
            below = size;
            size = (size + 7) / 8;
            isFirstLevel = false;
        }
        first = startBelow + 8 * (index - start);
        last = Vectors.smaller(first + 8, startBelow + below);
    }

    function sumProof(Work memory made, uint256 index, uint256 chunk) internal view returns (SumProof memory proof) {
        (bool isFirstLevel, uint256 first, uint256 last) = summandsOf(index, made.updates.length);
        proof.index = uint16(index);
        proof.chunk = uint64(chunk);
        proof.chunkHash = made.sums[index].chunkHash(chunk);
        proof.path = made.sums[index].path(chunk);
        proof.partialSumRoots = roots(made);
        bytes[] memory summands = new bytes[](last - first);
        Opening[] memory openings = new Opening[](last - first);
        uint256 count;
        for (uint256 i = first; i < last; ++i) {
            if (isFirstLevel && made.excluded[i]) continue;
            summands[count] = isFirstLevel ? made.updates[i] : made.sums[i];
            if (isFirstLevel) openings[count] = opening(i, made.updates[i]);
            ++count;
        }
        assembly ("memory-safe") {
            mstore(summands, count)
            mstore(openings, mul(count, isFirstLevel))
        }
        proof.openings = openings;
        (proof.chunks, proof.paths) = Vectors.opened(summands, chunk);
    }

    function rangeProof(Work memory made, uint256 i, uint256 lane) internal view returns (RangeProof memory proof) {
        proof.index = uint16(i);
        proof.opening = opening(i, made.updates[i]);
        proof.chunk = uint64(lane / 1024);
        proof.lane = uint16(lane % 1024);
        proof.content = made.updates[i].chunkAt(proof.chunk);
        proof.path = made.updates[i].path(proof.chunk);
    }

    function applyProof(Work memory made, uint256 chunk) internal pure returns (ApplyProof memory proof) {
        bytes memory total = made.sums[made.sums.length - 1];
        proof.chunk = uint64(chunk);
        proof.partialSumRoots = roots(made);
        proof.baseContent = made.base.chunkAt(chunk);
        proof.basePath = made.base.path(chunk);
        proof.totalContent = total.chunkAt(chunk);
        proof.totalPath = total.path(chunk);
        proof.modelChunkHash = made.model.chunkHash(chunk);
        proof.modelPath = made.model.path(chunk);
    }

    // ------------------------------------------------------------------ what is expected

    /// @dev A verifier's refusal, whatever offending values it carries.
    function expectRefusal(bytes4 selector, bytes memory call) internal {
        (bool isAccepted, bytes memory answer) = address(ledger).call(call);
        vm.assertFalse(isAccepted, "accepted");
        vm.assertEq(bytes32(bytes4(answer)), bytes32(selector));
    }

    function verifyFallen(uint32 number, uint16 postingNumber) internal view {
        Round memory fallen = ledger.roundOf(number);
        vm.assertEq(uint256(fallen.status), uint256(RoundStatus.Closed));
        vm.assertEq(fallen.postingNumber, postingNumber);
        vm.assertEq(fallen.since, block.timestamp);
        vm.assertEq(ledger.postingOf(number).poster, address(0));
        vm.assertEq(ledger.sumsHashOf(number), bytes32(0));
        vm.assertEq(ledger.modelRootOf(number), bytes32(0));
        vm.assertEq(ledger.runState().active, number);
        vm.assertEq(ledger.runState().tip, fallen.baseRound);
    }
}
