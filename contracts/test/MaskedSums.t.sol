// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskProofs.sol";

/// @notice A whole masked round, added up as the protocol says: terms follow the submissions, and their sum is the plain one.
contract MaskedSumsTest is MaskProofs {
    using Vectors for bytes;

    /// @dev Submissions, then terms.
    bytes[] private summands;
    bytes[] private added;
    bytes private model;
    /// @dev In the place of a wrong sum.
    uint256 private constant MODEL = 100;

    function setUp() public override {
        dimension = 3;
        super.setUp();
        openMasked(MEMBERS);
        setUpAll(MEMBERS);
        bytes32 root = baseRoot();
        for (uint256 i; i < SUBMITTING; ++i) {
            summands.push(maskedUpdate(i));
            bytes32 sealedOne = seal(opening(i, summands[i]), 1);
            vm.prank(worker(i));
            ledger.submit(1, root, sealedOne, weightOf(i));
        }
        pass(100);
        ledger.closeRound(1);
        pass(20);
        fix(AGGREGATOR, theExclusions(), people(SUBMITTING, MEMBERS));
        for (uint256 i; i < TERMS; ++i) {
            summands.push(term(i));
        }
    }

    function theExclusions() private view returns (Exclusion[] memory list) {
        list = exclusions();
        list[0].sealedRoot = seal(opening(LEFT_OUT, summands[LEFT_OUT]), 1);
    }

    // ------------------------------------------------------------------ adding up

    function addUp(uint256 wrong) private {
        delete added;
        bytes[] memory below = summands;
        below[LEFT_OUT] = Vectors.zero(dimension);
        while (added.length == 0 || below.length > 1) {
            bytes[] memory level = new bytes[]((below.length + 7) / 8);
            for (uint256 group; group < level.length; ++group) {
                level[group] = Vectors.sum(below, 8 * group, Vectors.smaller(8 * group + 8, below.length));
                if (added.length == wrong) level[group].add(1, 1);
                added.push(level[group]);
            }
            below = level;
        }
        uint256 weight;
        for (uint256 i; i < STAYING; ++i) {
            weight += weightOf(survivor(i));
        }
        Policy memory policy = rules();
        bytes memory applied_ = Vectors.applied(base(), below[0], policy.fractionBits, weight << policy.scaleBits);
        if (wrong == MODEL) applied_.add(2, 1);
        model = applied_;
    }

    function post(uint256 wrong) private {
        addUp(wrong);
        delete listed;
        for (uint256 i; i < TERMS; ++i) {
            listed.push(summands[SUBMITTING + i].root());
        }
        for (uint256 i; i < added.length; ++i) {
            listed.push(added[i].root());
        }
        publish(AGGREGATOR, theSeeds());
        Exclusion[] memory left = theExclusions();
        bytes32 root = model.root();
        postRoots(AGGREGATOR, left, listed, root);
    }

    /// @notice The proof about a sum, counted from the first sum on.
    function proofOf(uint256 number) private view returns (SumProof memory proof) {
        (bool isFirstLevel, uint256 first, uint256 last) = summandsOf(number, SUBMITTING + TERMS);
        proof.index = uint16(TERMS + number);
        proof.chunkHash = added[number].root();
        proof.partialSumRoots = listed;
        Opening[] memory openings = new Opening[](8);
        uint256 count;
        for (uint256 i = first; i < last; ++i) {
            if (isFirstLevel && i == LEFT_OUT) continue;
            if (isFirstLevel && i < SUBMITTING) openings[count++] = opening(i, summands[i]);
            proof.chunks = bytes.concat(proof.chunks, isFirstLevel ? summands[i] : added[i]);
        }
        assembly ("memory-safe") {
            mstore(openings, count)
        }
        proof.openings = openings;
    }

    function refuse(bytes memory reason, SumProof memory proof) private {
        expectError(reason);
        ledger.challengeSum(1, proof);
    }

    // ------------------------------------------------------------------ an honest posting

    function testTheSumIsThePlainSum() public {
        post(NO_LIE);
        bytes[] memory plain = new bytes[](STAYING);
        for (uint256 i; i < STAYING; ++i) {
            plain[i] = update(survivor(i));
        }
        bytes memory total = Vectors.sum(plain, 0, STAYING);
        vm.assertEq(listed[listed.length - 1], total.root());
        vm.assertEq(ledger.postingOf(1).included, STAYING);
    }

    /// @notice Groups of submissions, of submissions and terms, of terms, and of sums.
    function testAnHonestPostingStands() public {
        post(NO_LIE);
        vm.assertEq(added.length, 4);
        for (uint256 number; number < 4; ++number) {
            refuse(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector), proofOf(number));
        }
        ApplyProof memory proof = applied();
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector));
        ledger.challengeApply(1, proof);
    }

    function applied() private view returns (ApplyProof memory proof) {
        proof.partialSumRoots = listed;
        proof.baseContent = base();
        proof.totalContent = added[added.length - 1];
        proof.modelChunkHash = ledger.modelRootOf(1);
    }

    // ------------------------------------------------------------------ lies

    function testEveryWrongSumFalls() public {
        uint256 snapshot = vm.snapshotState();
        for (uint256 number; number < 4; ++number) {
            post(number);
            ledger.challengeSum(1, proofOf(number));
            verifyFallen(1, 1);
            vm.revertToState(snapshot);
        }
    }

    function testAWrongModelFalls() public {
        post(MODEL);
        ledger.challengeApply(1, applied());
        verifyFallen(1, 1);
    }

    // ------------------------------------------------------------------ what is refused

    function testATermIsNoSum() public {
        post(NO_LIE);
        SumProof memory proof = proofOf(0);
        proof.index = uint16(TERMS - 1);
        refuse(abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, TERMS - 1, TERMS + 4), proof);
        proof.index = uint16(TERMS + 4);
        refuse(abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, TERMS + 4, TERMS + 4), proof);
    }

    function testOpeningsAreOfIncludedSubmissions() public {
        post(NO_LIE);
        SumProof memory proof = proofOf(0);
        uint256 count = proof.openings.length;
        vm.assertEq(count, STAYING);
        proof.openings = new Opening[](count + 1);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "openings", count + 1, count), proof);
        proof = proofOf(1);
        vm.assertEq(proof.openings.length, 0);
        proof.openings = new Opening[](1);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "openings", 1, 0), proof);
        proof = proofOf(3);
        proof.openings = new Opening[](1);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "openings", 1, 0), proof);
    }

    /// @notice Nobody sees a lane, so nobody can say that it is out of range.
    function testThereIsNoRangeChallenge() public {
        post(NO_LIE);
        RangeProof memory proof;
        expectError(abi.encodeWithSelector(ITrainingLedger.NoSuchChallenge.selector, AggregationKind.MaskedSums));
        ledger.challengeRange(1, proof);
    }
}
