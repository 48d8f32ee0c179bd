// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "../ChallengeTest.sol";

/// @notice What was submitted and posted, lane by lane, so that every lie has its proof.
/// @dev Vectors of three lanes: one chunk, so that a chunk's hash is a root and every path is empty.
abstract contract Postings is ChallengeTest {
    using Vectors for bytes;

    uint256 internal constant LANES = 3;

    struct Sent {
        uint256 worker;
        uint32 weight;
        bytes32 sealedRoot;
        bytes32 vectorRoot;
        uint32[3] lanes;
        bool isOutOfRange;
    }

    /// @notice What stands of a posting; `lie` is None for an honest one.
    struct Posted {
        address poster;
        FallReason lie;
        uint16 wrongIndex;
        uint32[3] total;
        uint32[3] model;
    }

    mapping(uint256 round => Sent[]) public sent;
    mapping(uint256 round => Posted) public posted;
    mapping(uint256 round => mapping(uint256 postingNumber => mapping(uint256 index => bool))) public isLeftOut;
    /// @notice Postings that fell because somebody proved them wrong.
    mapping(address poster => uint256) public refuted;
    mapping(address challenger => uint256) public challenges;

    function sentCount(uint256 number) external view returns (uint256) {
        return sent[number].length;
    }

    // ------------------------------------------------------------------ vectors

    function vectorOf(uint32[3] memory lanes) internal pure returns (bytes memory vector) {
        vector = Vectors.zero(LANES);
        for (uint256 lane; lane < LANES; ++lane) {
            vector.set(lane, lanes[lane]);
        }
    }

    /// @notice Lanes within the bounds of weight 1; one that is outside those of `weight` where that is asked for.
    function lanesOf(uint256 seed, uint32 weight, bool isOutOfRange) internal pure returns (uint32[3] memory lanes) {
        for (uint256 lane; lane < LANES; ++lane) {
            lanes[lane] = uint32(int32(int256((seed >> 32 * lane) % (2 * CLIP + 1)) - int256(uint256(CLIP))));
        }
        if (isOutOfRange) lanes[seed % 3] = seed % 2 == 0 ? CLIP * weight + 1 : uint32(-int32(CLIP * weight + 1));
    }

    function genesis() internal view returns (uint32[3] memory lanes) {
        bytes memory vector = base();
        for (uint256 lane; lane < LANES; ++lane) {
            lanes[lane] = vector.get(lane);
        }
    }

    function modelOf(uint32 number) internal view returns (uint32[3] memory) {
        return number == 0 ? genesis() : posted[number].model;
    }

    // ------------------------------------------------------------------ submitting and posting

    function record(uint32 number, uint256 i, uint32 weight, uint256 seed) internal returns (bytes32 root) {
        Sent memory one;
        one.worker = i;
        one.weight = weight;
        one.isOutOfRange = seed % 11 == 0;
        one.lanes = lanesOf(seed, weight, one.isOutOfRange);
        one.vectorRoot = vectorOf(one.lanes).root();
        one.sealedRoot = seal(openingOf(one), number);
        sent[number].push(one);
        return one.sealedRoot;
    }

    function openingOf(Sent memory one) internal view returns (Opening memory) {
        return Opening(one.vectorRoot, saltOf(one.worker), one.weight, worker(one.worker));
    }

    /// @notice What an honest poster says of the round, given whom it leaves out; and then the lie.
    function planned(uint32 number, bool[] memory excluded, FallReason lie, uint256 seed)
        internal
        view
        returns (Posted memory plan)
    {
        uint32 totalWeight;
        plan.lie = FallReason.None;
        for (uint16 i; i < excluded.length; ++i) {
            if (excluded[i]) continue;
            Sent storage one = sent[number][i];
            totalWeight += one.weight;
            for (uint256 lane; lane < LANES; ++lane) {
                unchecked {
                    plan.total[lane] += one.lanes[lane];
                }
            }
            if (one.isOutOfRange) (plan.lie, plan.wrongIndex) = (FallReason.Range, i);
        }
        if (lie == FallReason.Sum) plan.total[seed % 3] ^= 1;
        plan.model = applied(number, plan.total, totalWeight);
        if (lie == FallReason.Apply) plan.model[seed % 3] ^= 0x80000000;
        if (lie == FallReason.Sum || lie == FallReason.Apply) plan.lie = lie;
    }

    function applied(uint32 number, uint32[3] memory total, uint32 totalWeight)
        private
        view
        returns (uint32[3] memory model)
    {
        Policy memory policy = ledger.policy();
        uint32[3] memory from = modelOf(ledger.roundOf(number).baseRound);
        uint256 divisor = uint256(totalWeight) << policy.scaleBits;
        for (uint256 lane; lane < LANES; ++lane) {
            model[lane] = Vectors.appliedLane(from[lane], total[lane], policy.fractionBits, divisor);
        }
    }

    function send(uint32 number, address poster, bool[] memory excluded, Posted memory plan) internal {
        uint16 postingNumber = ledger.roundOf(number).postingNumber;
        Exclusion[] memory exclusions = new Exclusion[](excluded.length);
        uint256 count;
        for (uint16 i; i < excluded.length; ++i) {
            isLeftOut[number][postingNumber][i] = excluded[i];
            Sent memory one = sent[number][i];
            if (excluded[i]) exclusions[count++] = Exclusion(i, 3, one.weight, worker(one.worker), one.sealedRoot);
        }
        assembly ("memory-safe") {
            mstore(exclusions, count)
        }
        bytes32 digest = ledger.digestOf(number);
        bytes32[] memory list = Vectors.only(vectorOf(plan.total).root());
        bytes32 root = vectorOf(plan.model).root();
        plan.poster = poster;
        vm.prank(poster);
        ledger.post(number, digest, exclusions, list, 0, 0, root);
        posted[number] = plan;
    }

    // ------------------------------------------------------------------ proofs

    /// @notice The only call that there is of this kind, whether it finds something wrong or not.
    function challengeOf(uint32 number, FallReason kind, uint16 index) internal view returns (bytes memory) {
        bytes32[] memory list = Vectors.only(vectorOf(posted[number].total).root());
        if (kind == FallReason.Sum) return sumCall(number, list);
        if (kind == FallReason.Range) return rangeCall(number, index);

        ApplyProof memory proof;
        proof.partialSumRoots = list;
        proof.baseContent = vectorOf(modelOf(ledger.roundOf(number).baseRound));
        proof.totalContent = vectorOf(posted[number].total);
        proof.modelChunkHash = vectorOf(posted[number].model).root();
        return abi.encodeCall(ITrainingLedger.challengeApply, (number, proof));
    }

    function sumCall(uint32 number, bytes32[] memory list) private view returns (bytes memory) {
        SumProof memory proof;
        proof.partialSumRoots = list;
        proof.chunkHash = list[0];
        uint256 count = sent[number].length;
        proof.openings = new Opening[](count);
        uint256 included;
        for (uint16 i; i < count; ++i) {
            if (ledger.isExcluded(number, i)) continue;
            Sent memory one = sent[number][i];
            proof.openings[included++] = openingOf(one);
            proof.chunks = bytes.concat(proof.chunks, vectorOf(one.lanes));
        }
        Opening[] memory openings = proof.openings;
        assembly ("memory-safe") {
            mstore(openings, included)
        }
        return abi.encodeCall(ITrainingLedger.challengeSum, (number, proof));
    }

    function rangeCall(uint32 number, uint16 index) private view returns (bytes memory) {
        Sent memory one = sent[number][index];
        RangeProof memory proof;
        proof.index = index;
        proof.opening = openingOf(one);
        proof.content = vectorOf(one.lanes);
        for (uint16 lane; lane < LANES; ++lane) {
            int32 value = int32(one.lanes[lane]);
            int256 most = int256(uint256(CLIP) * one.weight);
            if (value > most || value < -most) proof.lane = lane;
        }
        return abi.encodeCall(ITrainingLedger.challengeRange, (number, proof));
    }
}
