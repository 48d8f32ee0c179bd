// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./ChallengeTest.sol";

/// @notice Round 1, posted by the named aggregator with one wrong lane, and the proof of it.
abstract contract WrongSum is ChallengeTest {
    using Vectors for bytes;

    function theProof() internal view returns (SumProof memory) {
        return abi.decode(saved, (SumProof));
    }

    function challenge(SumProof memory proof) internal {
        vm.prank(STRANGER);
        ledger.challengeSum(1, proof);
    }

    function refuse(bytes memory reason, SumProof memory proof) internal {
        expectError(reason);
        challenge(proof);
    }

    function refuseLength(string memory field, uint256 given, uint256 expected, SumProof memory proof) internal {
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, field, given, expected), proof);
    }

    function refuseLeaf(uint256 index, SumProof memory proof) internal {
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, index), proof);
    }

    function refuseAsRight(SumProof memory proof) internal {
        refuse(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector), proof);
    }

    /// @dev The offending root is some hash.
    function refusePath(SumProof memory proof) internal {
        expectRefusal(ITrainingLedger.PathMismatch.selector, abi.encodeCall(ITrainingLedger.challengeSum, (1, proof)));
    }
}

/// @notice Of four submissions of three lanes, none excluded.
contract ChallengeSumTest is WrongSum {
    using Vectors for bytes;

    function setUp() public override {
        vm.warp(START);
        saved = abi.encode(sumProof(postLie(3, noOneOf(4), Lie(0, 1, 1)), 0, 0));
    }

    // ------------------------------------------------------------------ what a right proof does

    function testTakesTheBond() public {
        SumProof memory proof = theProof();
        expectEvent();
        emit ITrainingLedger.PostingFell(1, 0, AGGREGATOR, STRANGER, FallReason.Sum, 1000, 9000);
        expectEvent();
        emit ITrainingLedger.RoundVoided(2, VoidReason.BaseFell);
        challenge(proof);

        verifyFallen(1, 1);
        vm.assertEq(ledger.accountOf(AGGREGATOR).lockedBondWei, 0);
        vm.assertEq(ledger.accountOf(AGGREGATOR).freeBondWei, 99 * 10_000);
        vm.assertEq(ledger.accountOf(STRANGER).creditWei, 1000);
        vm.assertEq(ledger.bonusOf(1), 9000);
        vm.assertTrue(ledger.isBarred(1, AGGREGATOR));
        vm.assertEq(uint256(ledger.roundOf(2).status), uint256(RoundStatus.Void));
    }

    function testAnyoneMay(address challenger) public {
        vm.assume(challenger != AGGREGATOR);
        SumProof memory proof = theProof();
        vm.prank(challenger);
        ledger.challengeSum(1, proof);
        vm.assertEq(ledger.accountOf(challenger).creditWei, 1000);
    }

    function testThePosterGainsNothingByChallengingItself() public {
        SumProof memory proof = theProof();
        vm.prank(AGGREGATOR);
        ledger.challengeSum(1, proof);
        Account memory account = ledger.accountOf(AGGREGATOR);
        vm.assertEq(account.freeBondWei + account.lockedBondWei + account.creditWei, 99 * 10_000 + 1000);
    }

    // ------------------------------------------------------------------ when

    function testRefusesARoundThatIsNotPosted(uint32 number) public {
        vm.assume(number > 2);
        SumProof memory proof = theProof();
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        ledger.challengeSum(number, proof);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 2, RoundStatus.Open));
        ledger.challengeSum(2, proof);
    }

    function testTheWindowOnBothSides() public {
        SumProof memory proof = theProof();
        uint40 finalizableAt = ledger.postingOf(1).finalizableAt;
        vm.warp(finalizableAt);
        refuse(abi.encodeWithSelector(ITrainingLedger.ChallengeWindowClosed.selector, 1, finalizableAt), proof);
        vm.warp(finalizableAt - 1);
        challenge(proof);
    }

    function testRefusesAFinalRound() public {
        pass(200);
        ledger.finalize();
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Final), theProof());
    }

    function testRefusesTheSameProofTwice() public {
        challenge(theProof());
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Closed), theProof());
    }

    // ------------------------------------------------------------------ its own form

    function testEveryChunkIsWhole(uint256 length) public {
        length = bound(length, 0, 5 * 4096);
        vm.assume(length != 4 * 4096);
        SumProof memory proof = theProof();
        proof.chunks = Vectors.resized(proof.chunks, length);
        refuseLength("chunks", length, 4 * 4096, proof);
    }

    function testRefusesTrailingBytes(uint8 count) public {
        bytes memory call = abi.encodeCall(ITrainingLedger.challengeSum, (1, theProof()));
        bytes memory longer = bytes.concat(call, new bytes(1 + uint256(count)));
        (bool isAccepted, bytes memory answer) = address(ledger).call(longer);
        vm.assertFalse(isAccepted);
        bytes memory expected =
            abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "calldata", longer.length, call.length);
        vm.assertEq(keccak256(answer), keccak256(expected));
        (isAccepted,) = address(ledger).call(call);
        vm.assertTrue(isAccepted);
    }

    function testRefusesAnotherList(uint256 bit) public {
        SumProof memory proof = theProof();
        proof.partialSumRoots[0] ^= bytes32(1 << (bit % 256));
        bytes32 given = sha256(abi.encodePacked(bytes1(0x03), proof.partialSumRoots));
        bytes32 stored = ledger.sumsHashOf(1);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongPartialSums.selector, given, stored), proof);
    }

    function testRefusesAnotherContent(uint256 position, uint8 mask) public {
        vm.assume(mask != 0);
        SumProof memory proof = theProof();
        position = position % proof.chunks.length;
        proof.chunks[position] ^= bytes1(mask);
        refusePath(proof);
    }

    // ------------------------------------------------------------------ summands

    function testRefusesAMissingSubmission(uint256 which) public {
        SumProof memory proof = theProof();
        which = which % 4;
        Opening[] memory fewer = new Opening[](3);
        for (uint256 i; i < 3; ++i) {
            fewer[i] = proof.openings[i < which ? i : i + 1];
        }
        proof.openings = fewer;
        refuseLength("openings", 3, 4, proof);
    }

    function testRefusesASubmissionTwice(uint256 which) public {
        which = 1 + which % 3;
        SumProof memory proof = theProof();
        proof.openings[which] = proof.openings[which - 1];
        refuseLeaf(which, proof);
    }

    function testRefusesAnotherOrder(uint256 which) public {
        which = which % 3;
        SumProof memory proof = theProof();
        (proof.openings[which], proof.openings[which + 1]) = (proof.openings[which + 1], proof.openings[which]);
        refuseLeaf(which, proof);
    }

    function testOpeningsOpenTheirLeaf(uint256 field, uint256 which) public {
        which = which % 4;
        field = field % 4;
        SumProof memory proof = theProof();
        Opening memory one = proof.openings[which];
        if (field == 0) one.vectorRoot = "other";
        if (field == 1) one.salt = "other";
        if (field == 2) one.weight += 1;
        if (field == 3) one.participant = STRANGER;
        refuseLeaf(which, proof);
    }

    /// @notice One bit anywhere in the call, and it is refused: everything in it is checked.
    /// forge-config: default.fuzz.runs = 512
    /// @dev Of one chunk both lists of siblings are empty, and an empty list can be read from any zeros: where words 5 and 9
    /// point elsewhere, it is the same proof.
    function testNoOtherBytesPass(uint256 position, uint8 bit) public {
        bytes memory call = abi.encodeCall(ITrainingLedger.challengeSum, (1, theProof()));
        position %= call.length - 4;
        vm.assume(position / 32 != 5 && position / 32 != 9);
        call[4 + position] ^= bytes1(uint8(1 << (bit % 8)));
        (bool isAccepted,) = address(ledger).call(call);
        vm.assertFalse(isAccepted);
    }

    function testThereIsNoneInARunOfAnotherKind(uint32 number) public {
        Policy memory policy = rules();
        policy.aggregation = AggregationKind.Result;
        deploy(policy, address(0));
        SumProof memory proof;
        expectError(abi.encodeWithSelector(ITrainingLedger.NoSuchChallenge.selector, AggregationKind.Result));
        ledger.challengeSum(number, proof);
    }
}

/// @notice Of two submissions of 2049 lanes; the wrong lane is in the padding chunk.
contract ChallengeSumPathsTest is WrongSum {
    using Vectors for bytes;

    function setUp() public override {
        vm.warp(START);
        saved = abi.encode(sumProof(postLie(2049, noOneOf(2), Lie(0, 4095, 1)), 0, 3));
    }

    function testThePaddingChunksOnBothSides(uint64 chunk) public {
        SumProof memory proof = theProof();
        proof.chunk = uint64(bound(chunk, 4, type(uint64).max));
        refuse(abi.encodeWithSelector(ITrainingLedger.ChunkOutOfBounds.selector, proof.chunk, 4), proof);
        proof.chunk = 3;
        challenge(proof);
        verifyFallen(1, 1);
    }

    function testAnotherChunkHasAnotherPath(uint64 chunk) public {
        SumProof memory proof = theProof();
        proof.chunk = chunk % 3;
        refusePath(proof);
    }

    function testEverySiblingCounts(uint256 which, uint256 bit) public {
        SumProof memory proof = theProof();
        bytes32 flip = bytes32(1 << (bit % 256));
        which = which % 6;
        if (which < 2) proof.path[which] ^= flip;
        else proof.paths[which - 2] ^= flip;
        refusePath(proof);
    }

    /// @notice A node in a chunk's place would need a path that is shorter, or a sibling that nobody can find.
    function testRefusesANodeInAChunksPlace() public {
        SumProof memory proof = theProof();
        proof.chunkHash = Vectors.nodeHash(proof.path[0], proof.chunkHash);
        refusePath(proof);
        proof.path = Vectors.without(proof.path, 0, 1);
        proof.chunk = 1;
        refuseLength("path", 1, 2, proof);

        proof = theProof();
        bytes memory node = abi.encodePacked(proof.paths[0], sha256(bytes.concat(bytes1(0), proof.chunks)));
        proof.chunks = bytes.concat(node, Vectors.tail(proof.chunks, 4096));
        refuseLength("chunks", 64 + 4096, 8192, proof);
    }

    function testRefusesAForgedDepth() public {
        SumProof memory proof = theProof();
        proof.path = Vectors.joined(Vectors.only("below"), proof.path);
        refuseLength("path", 3, 2, proof);
        proof = theProof();
        proof.paths = Vectors.without(proof.paths, 3, 4);
        refuseLength("paths", 3, 4, proof);
        proof.paths = Vectors.joined(proof.paths, new bytes32[](3));
        refuseLength("paths", 6, 4, proof);
        // A vector of the same chunks without its last level.
        proof.paths = Vectors.without(theProof().paths, 1, 3);
        refuseLength("paths", 2, 4, proof);
    }
}

/// @notice Of nine submissions, so that the total adds up listed sums; the wrong one is the total.
contract ChallengeSumListTest is WrongSum {
    using Vectors for bytes;

    function setUp() public override {
        vm.warp(START);
        saved = abi.encode(sumProof(postLie(3, noOneOf(9), Lie(2, 0, 1)), 2, 0));
    }

    function testRefusesAListOfAnotherLength(uint256 kind) public {
        SumProof memory proof = theProof();
        bytes32[] memory list = proof.partialSumRoots;
        kind = kind % 4;
        if (kind == 0) proof.partialSumRoots = Vectors.joined(list, Vectors.only(list[2]));
        if (kind == 1) proof.partialSumRoots = Vectors.joined(Vectors.only(list[0]), list);
        if (kind == 2) proof.partialSumRoots = Vectors.without(list, 1, 2);
        if (kind == 3) proof.partialSumRoots = new bytes32[](0);
        bytes32 given = sha256(abi.encodePacked(bytes1(0x03), proof.partialSumRoots));
        bytes32 stored = ledger.sumsHashOf(1);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongPartialSums.selector, given, stored), proof);
    }

    function testTheIndexOnBothSides(uint16 index) public {
        SumProof memory proof = theProof();
        proof.index = uint16(bound(index, 3, type(uint16).max));
        refuse(abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, proof.index, 3), proof);
        proof.index = 2;
        challenge(proof);
        verifyFallen(1, 1);
    }

    function testListedSumsHaveNoOpenings(uint8 count) public {
        SumProof memory proof = theProof();
        proof.openings = new Opening[](1 + uint256(count));
        refuseLength("openings", 1 + uint256(count), 0, proof);
    }

    function testAListedSumIsNoSubmission() public {
        SumProof memory proof = theProof();
        proof.index = 1;
        refuseLength("openings", 0, 1, proof);
    }
}

/// @notice Rounds that are made in the test.
contract ChallengeSumRoundsTest is WrongSum {
    using Vectors for bytes;

    /// forge-config: default.fuzz.runs = 40
    function testFindsAnyWrongLane(uint256 seed, uint32 delta, bool isHidden) public {
        vm.assume(delta != 0);
        uint256 count = 1 + seed % 12;
        deployFor(someDimension(seed >> 16));
        Lie memory lie = Lie((seed >> 32) % listLength(count), (seed >> 64) % paddedLanes(), delta);
        Work memory made = vectorsOf(someExclusions(seed >> 128, count));
        submitWork(made);
        // Hidden: a wrong sum that is listed, but not what the sums above it add up.
        aggregate(made, isHidden ? noLie() : lie);
        if (isHidden) made.sums[lie.index].add(lie.lane, delta);
        postWork(1, AGGREGATOR, made);
        challenge(sumProof(made, lie.index, lie.lane / 1024));
        verifyFallen(1, 1);
    }

    /// forge-config: default.fuzz.runs = 40
    function testAnHonestPostingStands(uint256 seed) public {
        uint256 count = 1 + seed % 12;
        Work memory made = postLie(someDimension(seed >> 16), someExclusions(seed >> 128, count), noLie());
        for (uint256 index; index < made.sums.length; ++index) {
            for (uint256 chunk; chunk < made.base.chunkCount(); ++chunk) {
                refuseAsRight(sumProof(made, index, chunk));
            }
        }
    }

    function testOnlyTheWrongSumFalls() public {
        bool[] memory excluded = noOneOf(17);
        excluded[16] = true;
        Work memory made = postLie(1025, excluded, Lie(2, 1030, 7));
        for (uint256 index; index < made.sums.length; ++index) {
            for (uint256 chunk; chunk < 2; ++chunk) {
                if (index != 2 || chunk != 1) refuseAsRight(sumProof(made, index, chunk));
            }
        }
        challenge(sumProof(made, 2, 1));
        verifyFallen(1, 1);
    }

    function testThreeLevels() public {
        bool[] memory excluded = noOneOf(70);
        excluded[7] = excluded[64] = excluded[69] = true;
        deployFor(5);
        Work memory made = vectorsOf(excluded);
        submitWork(made);
        for (uint256 index; index < 12; ++index) {
            aggregate(made, Lie(index, index % 5, 1));
            address poster = index == 0 ? AGGREGATOR : address(uint160(0x6000 + index));
            if (index != 0) bond(poster, 10_000);
            postWork(1, poster, made);
            challenge(sumProof(made, index, 0));
            verifyFallen(1, uint16(index + 1));
        }
        vm.assertEq(ledger.bonusOf(1), 12 * 9000);
    }

    function testAnAllExcludedGroupIsZero() public {
        bool[] memory excluded = noOneOf(10);
        excluded[8] = excluded[9] = true;
        Work memory made = postLie(2049, excluded, Lie(1, 4000, type(uint32).max));
        for (uint256 chunk; chunk < 3; ++chunk) {
            refuseAsRight(sumProof(made, 1, chunk));
        }
        SumProof memory proof = sumProof(made, 1, 3);
        vm.assertEq(proof.chunks.length + proof.paths.length + proof.openings.length, 0);
        challenge(proof);
        verifyFallen(1, 1);
    }

    function testRefusesAnExcludedSubmission() public {
        bool[] memory excluded = noOneOf(4);
        excluded[1] = true;
        Work memory made = postLie(3, excluded, Lie(0, 0, 1));
        made.excluded = noOneOf(4);
        refuseLength("openings", 4, 3, sumProof(made, 0, 0));
        // In the place of an included one, so that the number is right.
        made.excluded[2] = true;
        refuseLeaf(2, sumProof(made, 0, 0));
        made.excluded = excluded;
        challenge(sumProof(made, 0, 0));
        verifyFallen(1, 1);
    }

    function testRefusesOpeningsOfAnotherRound() public {
        Work memory made = postLie(3, noOneOf(4), Lie(0, 0, 1));
        SumProof memory first = sumProof(made, 0, 0);
        // The same updates, with the salts of another round, as workers have them.
        saltSeed = 1;
        submitUpdates(made);
        postWork(2, AGGREGATOR, made);
        SumProof memory second = sumProof(made, 0, 0);
        refuseLeaf(0, second);
        expectError(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 2, 0));
        ledger.challengeSum(2, first);
        ledger.challengeSum(2, second);
        challenge(first);
    }

    function testExtremeLanes() public {
        for (uint256 lane; lane < 3; ++lane) {
            Work memory made = postLie(3, noOneOf(2), Lie(0, lane, 1 << 31));
            challenge(sumProof(made, 0, 0));
            verifyFallen(1, 1);
        }
    }
}
