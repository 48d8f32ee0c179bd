// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./ChallengeTest.sol";

/// @notice Round 1, whose poster included an update that has one lane outside its bounds.
abstract contract OutOfRange is ChallengeTest {
    using Vectors for bytes;

    function theProof() internal view returns (RangeProof memory) {
        return abi.decode(saved, (RangeProof));
    }

    function challenge(RangeProof memory proof) internal {
        vm.prank(STRANGER);
        ledger.challengeRange(1, proof);
    }

    function refuse(bytes memory reason, RangeProof memory proof) internal {
        expectError(reason);
        challenge(proof);
    }

    function refuseLength(string memory field, uint256 given, uint256 expected, RangeProof memory proof) internal {
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, field, given, expected), proof);
    }

    function refuseAsRight(RangeProof memory proof) internal {
        refuse(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector), proof);
    }

    /// @notice Round 1 of a new ledger, in which participant `i` submitted one such lane, summed as it is.
    function postLane(uint256 lanes, bool[] memory excluded, uint256 i, uint256 lane, int256 value)
        internal
        returns (Work memory made)
    {
        deployFor(lanes);
        made = vectorsOf(excluded);
        made.updates[i].set(lane, uint32(int32(value)));
        submitWork(made);
        aggregate(made, noLie());
        postWork(1, AGGREGATOR, made);
    }

    function bounds(uint256 i) internal view returns (int256) {
        return int256(uint256(CLIP) * weightOf(i));
    }
}

/// @notice Of three submissions of 2049 lanes; the second has a lane that is one too large.
contract ChallengeRangeTest is OutOfRange {
    using Vectors for bytes;

    function setUp() public override {
        vm.warp(START);
        saved = abi.encode(rangeProof(postLane(2049, noOneOf(3), 1, 1500, bounds(1) + 1), 1, 1500));
    }

    // ------------------------------------------------------------------ what a right proof does

    function testTakesTheBond() public {
        RangeProof memory proof = theProof();
        expectEvent();
        emit ITrainingLedger.PostingFell(1, 0, AGGREGATOR, STRANGER, FallReason.Range, 1000, 9000);
        expectEvent();
        emit ITrainingLedger.RoundVoided(2, VoidReason.BaseFell);
        challenge(proof);

        verifyFallen(1, 1);
        vm.assertEq(ledger.accountOf(AGGREGATOR).lockedBondWei, 0);
        vm.assertEq(ledger.accountOf(AGGREGATOR).freeBondWei, 99 * 10_000);
        vm.assertEq(ledger.accountOf(STRANGER).creditWei, 1000);
        vm.assertEq(ledger.bonusOf(1), 9000);
        vm.assertTrue(ledger.isBarred(1, AGGREGATOR));
    }

    function testAnyoneMay(address challenger) public {
        vm.assume(challenger != AGGREGATOR);
        RangeProof memory proof = theProof();
        vm.prank(challenger);
        ledger.challengeRange(1, proof);
        vm.assertEq(ledger.accountOf(challenger).creditWei, 1000);
    }

    // ------------------------------------------------------------------ when

    function testRefusesARoundThatIsNotPosted(uint32 number) public {
        vm.assume(number > 2);
        RangeProof memory proof = theProof();
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        ledger.challengeRange(number, proof);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 2, RoundStatus.Open));
        ledger.challengeRange(2, proof);
    }

    function testTheWindowOnBothSides() public {
        RangeProof memory proof = theProof();
        uint40 finalizableAt = ledger.postingOf(1).finalizableAt;
        vm.warp(finalizableAt);
        refuse(abi.encodeWithSelector(ITrainingLedger.ChallengeWindowClosed.selector, 1, finalizableAt), proof);
        vm.warp(finalizableAt - 1);
        challenge(proof);
    }

    // ------------------------------------------------------------------ its own form

    function testTheIndexOnBothSides(uint16 index) public {
        RangeProof memory proof = theProof();
        proof.index = uint16(bound(index, 3, type(uint16).max));
        refuse(abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, proof.index, 3), proof);
        proof.index = 2;
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 2), proof);
    }

    function testTheChunkOnBothSides(uint64 chunk) public {
        RangeProof memory proof = theProof();
        proof.chunk = uint64(bound(chunk, 4, type(uint64).max));
        refuse(abi.encodeWithSelector(ITrainingLedger.ChunkOutOfBounds.selector, proof.chunk, 4), proof);
        proof.chunk = 3;
        expectRefusal(ITrainingLedger.PathMismatch.selector, abi.encodeCall(ITrainingLedger.challengeRange, (1, proof)));
    }

    function testTheLaneOnBothSides(uint16 lane) public {
        RangeProof memory proof = theProof();
        proof.lane = uint16(bound(lane, 1024, type(uint16).max));
        refuse(abi.encodeWithSelector(ITrainingLedger.LaneOutOfBounds.selector, proof.lane), proof);
        proof.lane = 1023;
        refuseAsRight(proof);
    }

    function testTheContentIsOneChunk(uint256 length) public {
        length = bound(length, 0, 2 * 4096);
        vm.assume(length != 4096);
        RangeProof memory proof = theProof();
        proof.content = Vectors.resized(proof.content, length);
        refuseLength("content", length, 4096, proof);
    }

    function testRefusesAForgedDepth() public {
        RangeProof memory proof = theProof();
        proof.path = Vectors.without(proof.path, 0, 1);
        refuseLength("path", 1, 2, proof);
        proof.path = Vectors.joined(proof.path, new bytes32[](2));
        refuseLength("path", 3, 2, proof);
    }

    function testRefusesTrailingBytes(uint8 count) public {
        bytes memory call = abi.encodeCall(ITrainingLedger.challengeRange, (1, theProof()));
        bytes memory longer = bytes.concat(call, new bytes(1 + uint256(count)));
        (bool isAccepted, bytes memory answer) = address(ledger).call(longer);
        vm.assertFalse(isAccepted);
        bytes memory expected =
            abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "calldata", longer.length, call.length);
        vm.assertEq(keccak256(answer), keccak256(expected));
    }

    function testOpeningsOpenTheirLeaf(uint256 field) public {
        field = field % 4;
        RangeProof memory proof = theProof();
        if (field == 0) proof.opening.vectorRoot = "other";
        if (field == 1) proof.opening.salt = "other";
        if (field == 2) proof.opening.weight -= 1;
        if (field == 3) proof.opening.participant = STRANGER;
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 1), proof);
    }

    function testEverySiblingCounts(uint256 which, uint256 bit) public {
        RangeProof memory proof = theProof();
        proof.path[which % 2] ^= bytes32(1 << (bit % 256));
        expectRefusal(ITrainingLedger.PathMismatch.selector, abi.encodeCall(ITrainingLedger.challengeRange, (1, proof)));
    }

    /// forge-config: default.fuzz.runs = 512
    function testNoOtherBytesPass(uint256 position, uint8 bit) public {
        bytes memory call = abi.encodeCall(ITrainingLedger.challengeRange, (1, theProof()));
        position = 4 + position % (call.length - 4);
        call[position] ^= bytes1(uint8(1 << (bit % 8)));
        (bool isAccepted,) = address(ledger).call(call);
        vm.assertFalse(isAccepted);
    }
}

/// @notice Rounds that are made in the test.
contract ChallengeRangeRoundsTest is OutOfRange {
    using Vectors for bytes;

    function verifyOneLane(uint256 lanes, uint256 lane, int256 value, bool isWrong) private {
        Work memory made = postLane(lanes, noOneOf(2), 1, lane, value);
        RangeProof memory proof = rangeProof(made, 1, lane);
        if (!isWrong) return refuseAsRight(proof);
        challenge(proof);
        verifyFallen(1, 1);
    }

    function testTheBoundsOnBothSides() public {
        int256 most = bounds(1);
        verifyOneLane(3, 2, most, false);
        verifyOneLane(3, 2, most + 1, true);
        verifyOneLane(3, 2, -most, false);
        verifyOneLane(3, 2, -most - 1, true);
        verifyOneLane(3, 2, type(int32).max, true);
        verifyOneLane(3, 2, type(int32).min, true);
    }

    function testTheDimensionOnBothSides() public {
        verifyOneLane(3, 3, 1, true);
        verifyOneLane(1023, 1023, -1, true);
        verifyOneLane(1024, 1023, 1, false);
        verifyOneLane(1025, 1024, 1, false);
        verifyOneLane(1025, 1025, 1, true);
        verifyOneLane(2049, 4095, 1, true);
        verifyOneLane(2049, 3072, 0, false);
    }

    /// forge-config: default.fuzz.runs = 40
    function testFindsAnyLaneOutsideItsBounds(uint256 seed, int32 value) public {
        uint256 count = 1 + seed % 10;
        uint256 lanes = someDimension(seed >> 16);
        bool[] memory excluded = someExclusions(seed >> 128, count);
        uint256 i = seed % count;
        excluded[i] = false;
        deployFor(lanes);
        uint256 lane = (seed >> 64) % paddedLanes();
        bool isWrong = lane >= lanes ? value != 0 : value > bounds(i) || value < -bounds(i);
        Work memory made = postLane(lanes, excluded, i, lane, value);
        RangeProof memory proof = rangeProof(made, i, lane);
        if (isWrong) challenge(proof);
        else refuseAsRight(proof);
    }

    function testRefusesAnExcludedUpdate() public {
        bool[] memory excluded = noOneOf(3);
        excluded[1] = true;
        Work memory made = postLane(3, excluded, 1, 0, type(int32).max);
        refuse(abi.encodeWithSelector(ITrainingLedger.NotIncluded.selector, 1, 1), rangeProof(made, 1, 0));
        refuseAsRight(rangeProof(made, 0, 0));
    }
}

/// @notice The widest bounds that a policy can set.
contract ChallengeRangeWidestTest is OutOfRange {
    using Vectors for bytes;

    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.maxTotalWeight = 1;
        policy.clipLanes = type(uint32).max >> 1;
    }

    function testOnlyTheLowestLaneIsOutside() public {
        challenge(rangeProof(postLane(3, noOneOf(1), 0, 0, type(int32).min), 0, 0));
        verifyFallen(1, 1);
        refuseAsRight(rangeProof(postLane(3, noOneOf(1), 0, 0, type(int32).max), 0, 0));
        refuseAsRight(rangeProof(postLane(3, noOneOf(1), 0, 0, -type(int32).max), 0, 0));
    }
}
