// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskedTest.sol";

/// @notice Twelve members in three groups of four.
contract GroupsTest is MaskedTest {
    uint256 private constant MEMBERS = 12;
    uint16 private constant GROUPS = 3;
    /// @dev Of the chunk tree of a vector of the test's dimension.
    uint256 private constant DEPTH = 2;

    uint16 private counted = GROUPS;

    function groupCount() internal view override returns (uint16) {
        return counted;
    }

    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.aggregation = AggregationKind.MaskedResult;
        policy.quorum = 6;
    }

    /// @notice Members of a round's groups, by its order as the tests draw it.
    function groupsIn(uint32 number) private view returns (uint256[4][3] memory members) {
        KeyRing memory keys = masks.keyRingOf(number);
        uint256[] memory ring = ringFrom(keys.seed, keys.vertices);
        for (uint256 place; place < MEMBERS; ++place) {
            members[place / 4][place % 4] = ring[place];
        }
    }

    function closeAll() private {
        openMasked(MEMBERS);
        draw();
        closeLatest(MEMBERS, MEMBERS);
    }

    /// @notice Exclusions of the first `count` members of a group, ascending.
    function without(uint256[4] memory group, uint256 count) private view returns (Exclusion[] memory list) {
        list = new Exclusion[](count);
        uint256 at;
        for (uint16 i; i < MEMBERS; ++i) {
            for (uint256 k; k < count; ++k) {
                if (group[k] == i) list[at++] = excluding(i, i, 3);
            }
        }
    }

    function both(Exclusion[] memory one, Exclusion[] memory two) private pure returns (Exclusion[] memory list) {
        list = new Exclusion[](one.length + two.length);
        uint256 at;
        for (uint16 i; i < MEMBERS; ++i) {
            for (uint256 k; k < one.length; ++k) {
                if (one[k].index == i) list[at++] = one[k];
            }
            for (uint256 k; k < two.length; ++k) {
                if (two[k].index == i) list[at++] = two[k];
            }
        }
    }

    function postResult(Exclusion[] memory exclusions, bytes32[] memory roots, bytes32 result) private {
        bytes32 digest = ledger.digestOf(1);
        vm.prank(AGGREGATOR);
        ledger.post(1, digest, exclusions, roots, result, 0, "model");
    }

    // ------------------------------------------------------------------ the draw

    function testDrawsGroupsHoweverFewThereAre() public {
        openMasked(MEMBERS);
        refuseSetUp(abi.encodeWithSelector(ISecureAggregation.GraphNotDrawn.selector, 1), 0);
        draw();
        KeyRing memory keys = masks.keyRingOf(1);
        vm.assertEq(keys.vertices, MEMBERS);
        vm.assertEq(keys.reach, GROUPS);
        vm.assertEq(masks.groups(), GROUPS);
        setUpKeys(0);
        refuseDraw(abi.encodeWithSelector(ISecureAggregation.NoGraphDue.selector, 1), 1);
    }

    // ------------------------------------------------------------------ who stays

    function testEverybodyStays() public {
        closeAll();
        fix(AGGREGATOR, nobody, none);
        Survivors memory stayed = masks.survivorsOf(1);
        vm.assertEq(stayed.survivors, MEMBERS);
        vm.assertEq(stayed.terms, 0);
    }

    function testOfAGroupEnoughStayOrNobody() public {
        closeAll();
        pass(20);
        uint256[4] memory group = groupsIn(1)[1];
        for (uint256 gone = 2; gone < 4; ++gone) {
            bytes memory tooFew = abi.encodeWithSelector(ISecureAggregation.TooFewOfGroup.selector, 1, 4 - gone, 3);
            refuseFix(tooFew, AGGREGATOR, without(group, gone), none);
        }
        uint256 snapshot = vm.snapshotState();
        fix(AGGREGATOR, without(group, 1), none);
        vm.revertToState(snapshot);
        fix(AGGREGATOR, without(group, 4), none);
        vm.assertEq(masks.survivorsOf(1).survivors, 8);
    }

    function testAMajorityOfGroupsStays() public {
        closeAll();
        pass(20);
        uint256[4][3] memory groups = groupsIn(1);
        Exclusion[] memory two = both(without(groups[0], 4), without(groups[2], 4));
        // The quorum is six, so that fewer than two groups are too few whatever they are.
        refuseFix(abi.encodeWithSelector(ISecureAggregation.TooFewSurvivors.selector, 4, 6), AGGREGATOR, two, none);
        Exclusion[] memory one = both(without(groups[0], 4), without(groups[2], 1));
        fix(AGGREGATOR, one, none);
        vm.assertEq(masks.survivorsOf(1).survivors, 7);
    }

    /// @notice Where groups are large, fewer of them than a majority can have the quorum.
    function testTooFewGroups() public {
        counted = 5;
        Policy memory policy = rules();
        policy.quorum = 9;
        vm.startPrank(OPERATOR);
        ledger = create(definition(), policy, AGGREGATOR, address(0));
        vm.stopPrank();
        openMasked(25);
        draw();
        closeLatest(25, 25);
        pass(20);
        uint256[] memory ring = graphRing();
        bool[] memory out = new bool[](25);
        for (uint256 place = 5; place < 20; ++place) {
            out[ring[place]] = true;
        }
        bytes memory tooFew = abi.encodeWithSelector(ISecureAggregation.TooFewGroups.selector, 2, 3);
        refuseFix(tooFew, AGGREGATOR, thoseOut(out), none);
        for (uint256 place = 5; place < 10; ++place) {
            out[ring[place]] = false;
        }
        fix(AGGREGATOR, thoseOut(out), none);
        vm.assertEq(masks.survivorsOf(1).survivors, 15);
    }

    function thoseOut(bool[] memory out) private view returns (Exclusion[] memory list) {
        uint256 count;
        for (uint256 i; i < out.length; ++i) {
            if (out[i]) ++count;
        }
        list = new Exclusion[](count);
        uint256 at;
        for (uint16 i; i < out.length; ++i) {
            if (out[i]) list[at++] = excluding(i, i, 3);
        }
    }

    // ------------------------------------------------------------------ postings

    function testPostsAResultAndNoSums() public {
        closeAll();
        fix(AGGREGATOR, nobody, none);
        expectError(abi.encodeWithSelector(ISecureAggregation.NoSeeds.selector, 1, AGGREGATOR));
        this.post(0, "result");
        publish(AGGREGATOR, seedsOf(MEMBERS, MEMBERS, nobody));
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPartialSumCount.selector, 2, 0));
        this.post(2, "result");
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongRoots.selector, AggregationKind.MaskedResult, 0, 0));
        this.post(0, 0);
        this.post(0, "result");
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Open));
        vm.assertEq(ledger.modelRootOf(1), bytes32("model"));
    }

    function post(uint256 listed, bytes32 result) external {
        postResult(nobody, sums(listed), result);
    }

    function testPostsTheFixedSurvivorsAlone() public {
        closeAll();
        pass(20);
        Exclusion[] memory fixed_ = without(groupsIn(1)[0], 4);
        fix(AGGREGATOR, fixed_, none);
        publish(AGGREGATOR, seedsOf(MEMBERS, MEMBERS, fixed_));
        expectError(
            abi.encodeWithSelector(
                ISecureAggregation.WrongDeparted.selector, keccak256(abi.encode(nobody)), keccak256(abi.encode(fixed_))
            )
        );
        this.post(0, "result");
        postResult(fixed_, sums(0), "result");
    }

    // ------------------------------------------------------------------ challenges

    function proofOf(uint16 number, uint256 owner, bytes16[] memory seeds, Exclusion[] memory exclusions)
        private
        view
        returns (SeedProof memory)
    {
        LeafOpening memory leaf = LeafOpening(sealedOf(owner), weightOf(owner), worker(owner));
        return SeedProof(number, seeds, Departed(exclusions, none), digestsInRound(), madeUp[owner], leaf);
    }

    function sealedOf(uint256 i) private pure returns (bytes32) {
        return keccak256(abi.encode(uint32(1), i));
    }

    SetUp[] private madeUp;

    function digestsInRound() private view returns (bytes32[] memory digests) {
        digests = new bytes32[](MEMBERS);
        for (uint256 i; i < MEMBERS; ++i) {
            digests[i] = setUpDigest(madeUp[i]);
        }
    }

    /// @notice One of the first group is left out, and with two more all of the second: four seeds are of nobody who stays.
    function postWithout(uint256 blank) private returns (bytes16[] memory seeds, Exclusion[] memory exclusions) {
        closeAll();
        for (uint256 i; i < MEMBERS; ++i) {
            madeUp.push(setUpOf(i));
        }
        pass(20);
        uint256[4][3] memory groups = groupsIn(1);
        exclusions = both(without(groups[0], 1), without(groups[1], 4));
        seeds = seedsOf(MEMBERS, MEMBERS, exclusions);
        for (uint256 k; k < exclusions.length; ++k) {
            bool isOfFirst = exclusions[k].index == groups[0][0];
            if (!isOfFirst || blank == 1) seeds[7 + k] = 0;
        }
        fix(AGGREGATOR, exclusions, none);
        publish(AGGREGATOR, seeds);
        postResult(exclusions, sums(0), "result");
    }

    function numberOf(Exclusion[] memory exclusions, uint256 member) private pure returns (uint16) {
        for (uint16 k; k < exclusions.length; ++k) {
            if (exclusions[k].index == member) return 7 + k;
        }
        revert("stays");
    }

    function testZeroStandsForSeedsOfAGroupOfWhichNobodyStays() public {
        (bytes16[] memory seeds, Exclusion[] memory exclusions) = postWithout(0);
        for (uint256 k; k < exclusions.length; ++k) {
            SeedProof memory proof = proofOf(uint16(7 + k), exclusions[k].index, seeds, exclusions);
            expectError(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector));
            masked().challengeSeed(1, proof);
        }
    }

    function testZeroIsWrongForOneWhoLeftAGroupThatStays() public {
        (bytes16[] memory seeds, Exclusion[] memory exclusions) = postWithout(1);
        uint256 member = groupsIn(1)[0][0];
        SeedProof memory proof = proofOf(numberOf(exclusions, member), member, seeds, exclusions);
        vm.prank(STRANGER);
        masked().challengeSeed(1, proof);
        verifyFallen(1, 1);
    }

    function testNoTermAndNoSumIsListed() public {
        (bytes16[] memory seeds, Exclusion[] memory exclusions) = postWithout(0);
        SeedProof memory part = proofOf(0, 0, seeds, exclusions);
        MaskProof memory proof = MaskProof({
            term: 0,
            chunk: 0,
            chunkHash: 0,
            path: new bytes32[](DEPTH),
            partialSumRoots: new bytes32[](0),
            seeds: seeds,
            departed: part.departed,
            setUps: part.setUps,
            owner: part.owner,
            peer: part.owner,
            leaf: part.leaf
        });
        expectError(abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, 0, 0));
        masked().challengeMask(1, proof);
        ApplyProof memory applied;
        expectError(abi.encodeWithSelector(ITrainingLedger.NoSuchChallenge.selector, AggregationKind.MaskedResult));
        ledger.challengeApply(1, applied);
        SumProof memory sum;
        expectError(abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, 0, 0));
        ledger.challengeSum(1, sum);
    }

    // ------------------------------------------------------------------ bounds

    function testTheNumberOfGroupsOnBothSides() public {
        counted = 2;
        refuse(rules(), "groups", 2);
        counted = 0;
        refuse(rules(), "groups", 0);
        counted = 3;
        Policy memory policy = rules();
        policy.quorum = 5;
        refuse(policy, "quorum", 5);
        policy = rules();
        policy.aggregation = AggregationKind.MaskedSums;
        refuse(policy, "groups", 3);
        this.make(rules());
    }

    function refuse(Policy memory policy, string memory field, uint256 value) private {
        expectError(abi.encodeWithSelector(ITrainingLedger.PolicyOutOfBounds.selector, field, value));
        this.make(policy);
    }

    function make(Policy memory policy) external {
        vm.startPrank(OPERATOR);
        create(definition(), policy, AGGREGATOR, address(0));
        vm.stopPrank();
    }
}
