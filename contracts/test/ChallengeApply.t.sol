// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./ChallengeTest.sol";

/// @notice Round 1, whose posted model has one lane that does not follow from its total.
abstract contract WrongModel is ChallengeTest {
    using Vectors for bytes;

    function theProof() internal view returns (ApplyProof memory) {
        return abi.decode(saved, (ApplyProof));
    }

    function challenge(ApplyProof memory proof) internal {
        vm.prank(STRANGER);
        ledger.challengeApply(1, proof);
    }

    function refuse(bytes memory reason, ApplyProof memory proof) internal {
        expectError(reason);
        challenge(proof);
    }

    function refuseLength(string memory field, uint256 given, uint256 expected, ApplyProof memory proof) internal {
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, field, given, expected), proof);
    }

    function refuseAsRight(ApplyProof memory proof) internal {
        refuse(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector), proof);
    }

    function refusePath(ApplyProof memory proof) internal {
        expectRefusal(ITrainingLedger.PathMismatch.selector, abi.encodeCall(ITrainingLedger.challengeApply, (1, proof)));
    }

    /// @notice Round 1 of the present ledger, its model right but for one lane.
    function postModel(bool[] memory excluded, uint256 lane, uint32 delta) internal returns (Work memory made) {
        made = vectorsOf(excluded);
        submitWork(made);
        aggregate(made, noLie());
        made.model.add(lane, delta);
        postWork(1, AGGREGATOR, made);
    }
}

/// @notice Of nine submissions of 2049 lanes.
contract ChallengeApplyTest is WrongModel {
    using Vectors for bytes;

    function setUp() public override {
        vm.warp(START);
        deployFor(2049);
        saved = abi.encode(applyProof(postModel(noOneOf(9), 2048, 1), 2));
    }

    // ------------------------------------------------------------------ what a right proof does

    function testTakesTheBond() public {
        ApplyProof memory proof = theProof();
        expectEvent();
        emit ITrainingLedger.PostingFell(1, 0, AGGREGATOR, STRANGER, FallReason.Apply, 1000, 9000);
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
        ApplyProof memory proof = theProof();
        vm.prank(challenger);
        ledger.challengeApply(1, proof);
        vm.assertEq(ledger.accountOf(challenger).creditWei, 1000);
    }

    // ------------------------------------------------------------------ when

    function testRefusesARoundThatIsNotPosted(uint32 number) public {
        vm.assume(number > 2);
        ApplyProof memory proof = theProof();
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        ledger.challengeApply(number, proof);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 2, RoundStatus.Open));
        ledger.challengeApply(2, proof);
    }

    function testTheWindowOnBothSides() public {
        ApplyProof memory proof = theProof();
        uint40 finalizableAt = ledger.postingOf(1).finalizableAt;
        vm.warp(finalizableAt);
        refuse(abi.encodeWithSelector(ITrainingLedger.ChallengeWindowClosed.selector, 1, finalizableAt), proof);
        vm.warp(finalizableAt - 1);
        challenge(proof);
    }

    // ------------------------------------------------------------------ its own form

    function testRefusesAnotherList(uint256 kind) public {
        ApplyProof memory proof = theProof();
        bytes32[] memory list = proof.partialSumRoots;
        kind = kind % 4;
        if (kind == 0) proof.partialSumRoots = Vectors.joined(list, Vectors.only(list[2]));
        if (kind == 1) proof.partialSumRoots = Vectors.without(list, 0, 1);
        if (kind == 2) proof.partialSumRoots = new bytes32[](0);
        if (kind == 3) (list[0], list[1]) = (list[1], list[0]);
        bytes32 given = sha256(abi.encodePacked(bytes1(0x03), proof.partialSumRoots));
        bytes32 stored = ledger.sumsHashOf(1);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongPartialSums.selector, given, stored), proof);
    }

    function testTheChunkOnBothSides(uint64 chunk) public {
        ApplyProof memory proof = theProof();
        proof.chunk = uint64(bound(chunk, 4, type(uint64).max));
        refuse(abi.encodeWithSelector(ITrainingLedger.ChunkOutOfBounds.selector, proof.chunk, 4), proof);
        proof.chunk = 3;
        refusePath(proof);
    }

    function testContentsAreOneChunk(uint256 length, bool isBase) public {
        length = bound(length, 0, 2 * 4096);
        vm.assume(length != 4096);
        ApplyProof memory proof = theProof();
        bytes memory content = new bytes(length);
        if (isBase) proof.baseContent = content;
        else proof.totalContent = content;
        refuseLength(isBase ? "baseContent" : "totalContent", length, 4096, proof);
    }

    function testRefusesAForgedDepth(bool isLonger) public {
        uint256 given = isLonger ? 3 : 1;
        ApplyProof memory proof = theProof();
        proof.basePath = new bytes32[](given);
        refuseLength("basePath", given, 2, proof);
        proof = theProof();
        proof.totalPath = new bytes32[](given);
        refuseLength("totalPath", given, 2, proof);
        proof = theProof();
        proof.modelPath = new bytes32[](given);
        refuseLength("modelPath", given, 2, proof);
    }

    function testRefusesANodeInAChunksPlace() public {
        ApplyProof memory proof = theProof();
        proof.modelChunkHash = Vectors.nodeHash(proof.modelChunkHash, proof.modelPath[0]);
        refusePath(proof);
    }

    function testRefusesTrailingBytes(uint8 count) public {
        bytes memory call = abi.encodeCall(ITrainingLedger.challengeApply, (1, theProof()));
        bytes memory longer = bytes.concat(call, new bytes(1 + uint256(count)));
        (bool isAccepted, bytes memory answer) = address(ledger).call(longer);
        vm.assertFalse(isAccepted);
        bytes memory expected =
            abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "calldata", longer.length, call.length);
        vm.assertEq(keccak256(answer), keccak256(expected));
    }

    function testEverySiblingCounts(uint256 which, uint256 bit) public {
        ApplyProof memory proof = theProof();
        bytes32 flip = bytes32(1 << (bit % 256));
        which = which % 6;
        if (which < 2) proof.basePath[which] ^= flip;
        else if (which < 4) proof.totalPath[which - 2] ^= flip;
        else proof.modelPath[which - 4] ^= flip;
        refusePath(proof);
    }

    function testTheSumOfAGroupIsNotTheTotal() public {
        ApplyProof memory proof = theProof();
        (proof.baseContent, proof.totalContent) = (proof.totalContent, proof.baseContent);
        (proof.basePath, proof.totalPath) = (proof.totalPath, proof.basePath);
        refusePath(proof);
    }

    /// forge-config: default.fuzz.runs = 512
    function testNoOtherBytesPass(uint256 position, uint8 bit) public {
        bytes memory call = abi.encodeCall(ITrainingLedger.challengeApply, (1, theProof()));
        position = 4 + position % (call.length - 4);
        call[position] ^= bytes1(uint8(1 << (bit % 8)));
        (bool isAccepted,) = address(ledger).call(call);
        vm.assertFalse(isAccepted);
    }

    function testThereIsNoneInARunOfAnotherKind(uint32 number) public {
        Policy memory policy = rules();
        policy.aggregation = AggregationKind.SumsWithState;
        deploy(policy, address(0));
        ApplyProof memory proof;
        expectError(abi.encodeWithSelector(ITrainingLedger.NoSuchChallenge.selector, AggregationKind.SumsWithState));
        ledger.challengeApply(number, proof);
    }
}

/// @notice Rounds that are made in the test.
contract ChallengeApplyRoundsTest is WrongModel {
    using Vectors for bytes;

    /// forge-config: default.fuzz.runs = 40
    function testFindsAnyWrongLane(uint256 seed, uint32 delta) public {
        uint256 count = 1 + seed % 10;
        deployFor(someDimension(seed >> 16));
        uint256 lane = (seed >> 64) % paddedLanes();
        Work memory made = postModel(someExclusions(seed >> 128, count), lane, delta);
        ApplyProof memory proof = applyProof(made, lane / 1024);
        if (delta == 0) return refuseAsRight(proof);
        challenge(proof);
        verifyFallen(1, 1);
    }

    /// @notice Whatever the total is, the model that follows from it stands, chunk by chunk, padding included.
    /// forge-config: default.fuzz.runs = 40
    function testAnHonestModelStands(uint256 seed) public {
        deployFor(someDimension(seed >> 16));
        Work memory made = postModel(someExclusions(seed >> 128, 1 + seed % 10), 0, 0);
        for (uint256 chunk; chunk < made.base.chunkCount(); ++chunk) {
            refuseAsRight(applyProof(made, chunk));
        }
    }

    /// @notice A wrong total is what `challengeSum` is for: the model that follows from it is right.
    function testAWrongTotalIsNoWrongModel() public {
        Work memory made = postLie(3, noOneOf(2), Lie(0, 0, 5));
        refuseAsRight(applyProof(made, 0));
    }

    function testAStaleBaseFalls() public {
        deployFor(3);
        Work memory made = postModel(noOneOf(2), 0, 0);
        submitUpdates(made);
        aggregate(made, noLie());
        // Round 2 starts from the model of round 1, but was applied to genesis once more.
        postWork(2, AGGREGATOR, made);
        made.base = made.model;
        ApplyProof memory proof = applyProof(made, 0);
        vm.prank(STRANGER);
        ledger.challengeApply(2, proof);
        verifyFallen(2, 1);
        vm.assertEq(ledger.runState().tip, 1);
    }

    function testTheRightBaseStands() public {
        deployFor(3);
        Work memory made = postModel(noOneOf(2), 0, 0);
        submitUpdates(made);
        made.base = made.model;
        aggregate(made, noLie());
        postWork(2, AGGREGATOR, made);
        ApplyProof memory proof = applyProof(made, 0);
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector));
        ledger.challengeApply(2, proof);
    }

    function testAnotherWeightFalls() public {
        deployFor(3);
        Work memory made = vectorsOf(noOneOf(3));
        submitWork(made);
        made.excluded[2] = true;
        aggregate(made, noLie());
        bytes memory model = made.model;
        made.excluded[2] = false;
        aggregate(made, noLie());
        made.model = model;
        postWork(1, AGGREGATOR, made);
        challenge(applyProof(made, 0));
        verifyFallen(1, 1);
    }
}

/// @notice Divisors from the smallest that a policy allows to the largest.
contract ChallengeApplyExtremesTest is WrongModel {
    using Vectors for bytes;

    uint8 private fractionBits;
    uint8 private scaleBits;
    uint32 private weight;

    function setUp() public override {
        vm.warp(START);
    }

    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.fractionBits = fractionBits;
        policy.scaleBits = scaleBits;
        policy.maxTotalWeight = weight;
        policy.clipLanes = (type(uint32).max >> 1) / weight;
    }

    function weightOf(uint256) internal view override returns (uint32) {
        return weight;
    }

    function verifyBothWays(uint8 fraction, uint8 scale, uint32 only) private {
        (fractionBits, scaleBits, weight) = (fraction, scale, only);
        deployFor(1024);
        refuseAsRight(applyProof(postModel(noOneOf(1), 0, 0), 0));
        deployFor(1024);
        challenge(applyProof(postModel(noOneOf(1), 1023, 1), 0));
        verifyFallen(1, 1);
    }

    function testTheCornersOfThePolicy() public {
        verifyBothWays(8, 0, 1);
        verifyBothWays(24, 0, 1);
        verifyBothWays(24, 0, type(uint32).max >> 1);
        verifyBothWays(24, 40, 2 ** 21 - 1);
        verifyBothWays(8, 40, 2 ** 21 - 1);
        verifyBothWays(8, 40, 1);
    }

    /// forge-config: default.fuzz.runs = 24
    function testAnyPolicy(uint8 fraction, uint8 scale, uint32 only) public {
        scale = uint8(bound(scale, 0, 40));
        verifyBothWays(
            uint8(bound(fraction, 8, 24)),
            scale,
            uint32(bound(only, 1, Vectors.smaller(type(uint32).max >> 1, (2 ** 61 - 1) >> scale)))
        );
    }
}
