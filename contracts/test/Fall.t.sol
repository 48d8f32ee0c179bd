// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./ChallengeTest.sol";

/// @notice Rounds of three lanes and three submissions, some of which are posted with a wrong sum.
abstract contract FallingRounds is ChallengeTest {
    address internal constant SECOND = address(0x6001);
    address internal constant THIRD = address(0x6002);
    uint256 internal constant COUNT = 3;

    function setUp() public virtual override {
        vm.warp(START);
        deployFor(3);
        open(COUNT);
        bond(SECOND, 10 * 10_000);
        bond(THIRD, 10 * 10_000);
    }

    function honest() internal view returns (Work memory made) {
        made = vectorsOf(noOneOf(COUNT));
        aggregate(made, noLie());
    }

    function lying() internal view returns (Work memory made) {
        made = vectorsOf(noOneOf(COUNT));
        aggregate(made, Lie(0, 0, 1));
    }

    /// @notice Everyone submits to the open round, and it is posted.
    function runRound(address poster, Work memory made) internal {
        uint32 number = latest();
        submitUpdates(made);
        postWork(number, poster, made);
    }

    function challengeIn(uint32 number) internal {
        SumProof memory proof = sumProof(lying(), 0, 0);
        vm.prank(STRANGER);
        ledger.challengeSum(number, proof);
    }

    function objectIn(uint32 number) internal {
        bytes32 root = ledger.modelRootOf(number);
        for (uint256 i; i < 2; ++i) {
            bytes32 sealedOne = seal(opening(i, update(i)), number);
            vm.prank(worker(i));
            ledger.object(number, root, uint16(i), weightOf(i), sealedOne);
        }
    }

    function claimIn(uint32 number, uint256 i) internal {
        Claim[] memory claims = new Claim[](1);
        claims[0] = claimOf(number, i);
        ledger.claim(worker(i), claims);
    }

    function claimOf(uint32 number, uint256 i) internal view returns (Claim memory) {
        return Claim(number, uint16(i), weightOf(i), seal(opening(i, update(i)), number));
    }

    function refuseClaim(bytes memory reason, uint32 number, uint256 i) internal {
        Claim[] memory claims = new Claim[](1);
        claims[0] = claimOf(number, i);
        expectError(reason);
        ledger.claim(worker(i), claims);
    }

    /// @dev A posting of a round of which only the form counts.
    function refusePost(bytes memory reason, uint32 number, address poster, Exclusion[] memory exclusions) internal {
        bytes32 digest = ledger.digestOf(number);
        expectError(reason);
        vm.prank(poster);
        ledger.post(number, digest, exclusions, sums(1), 0, 0, "model");
    }

    function refusePost(bytes memory reason, uint32 number, address poster) internal {
        refusePost(reason, number, poster, new Exclusion[](0));
    }

    function statusOf(uint32 number) internal view returns (RoundStatus) {
        return ledger.roundOf(number).status;
    }

    function verifyStatus(uint32 number, RoundStatus status) internal view {
        vm.assertEq(uint256(statusOf(number)), uint256(status));
    }

    function freeOf(address account) internal view returns (uint256) {
        return ledger.accountOf(account).freeBondWei;
    }
}

/// @notice The fallen round itself: who may post it again, and when.
contract FallenRoundTest is FallingRounds {
    function setUp() public override {
        super.setUp();
        runRound(AGGREGATOR, lying());
        pass(7);
        challengeIn(1);
    }

    function testItsTimesStartAgain() public {
        uint256 fellAt = block.timestamp;
        Exclusion[] memory one = new Exclusion[](1);
        one[0] = Exclusion(0, 1, weightOf(0), worker(0), seal(opening(0, update(0)), 1));
        pass(19);
        refusePost(abi.encodeWithSelector(ITrainingLedger.ExclusionsTooEarly.selector, fellAt + 20), 1, SECOND, one);
        vm.warp(fellAt + 110);
        refusePost(abi.encodeWithSelector(ITrainingLedger.DeadlinePassed.selector, 1, fellAt + 110), 1, SECOND);
        vm.warp(fellAt + 109);
        expectError(abi.encodeWithSelector(ITrainingLedger.DeadlineNotPassed.selector, 1, fellAt + 110));
        ledger.voidRound(1);
        postWork(1, SECOND, honest());
        verifyStatus(1, RoundStatus.Posted);
        vm.assertEq(ledger.postingOf(1).finalizableAt, block.timestamp + 200);
    }

    /// forge-config: default.fuzz.runs = 24
    function testTheLoserNeverPostsItAgain(uint256 wait) public {
        pass(bound(wait, 0, 109));
        refusePost(abi.encodeWithSelector(ITrainingLedger.Barred.selector, 1, AGGREGATOR), 1, AGGREGATOR);
        postWork(1, SECOND, lying());
        challengeIn(1);
        refusePost(abi.encodeWithSelector(ITrainingLedger.Barred.selector, 1, AGGREGATOR), 1, AGGREGATOR);
        refusePost(abi.encodeWithSelector(ITrainingLedger.Barred.selector, 1, SECOND), 1, SECOND);
        vm.assertEq(ledger.bonusOf(1), 2 * 9000);
        vm.assertEq(ledger.roundOf(1).postingNumber, 2);
    }

    function testAnyoneBondedPostsAtOnceAndIsNamed() public {
        vm.assertEq(ledger.runState().aggregator, AGGREGATOR);
        Work memory made = honest();
        bytes32 digest = ledger.digestOf(1);
        bytes32[] memory list = roots(made);
        expectEvent();
        emit ITrainingLedger.RoundPosted(
            1, 1, SECOND, "model", 0, 0, 3, 6, uint40(block.timestamp + 200), new Exclusion[](0), list
        );
        expectEvent();
        emit ITrainingLedger.AggregatorNamed(SECOND);
        vm.prank(SECOND);
        ledger.post(1, digest, new Exclusion[](0), list, 0, 0, "model");
        vm.assertEq(ledger.runState().aggregator, SECOND);
        vm.assertEq(ledger.runState().active, 3);
        vm.assertEq(ledger.runState().tip, 1);
        vm.assertEq(round().baseRound, 1);
        vm.assertEq(round().step, 2);
    }

    function testABondIsNeededAllTheSame() public {
        refusePost(abi.encodeWithSelector(ITrainingLedger.BondTooSmall.selector, 0, 10_000), 1, address(0x6003));
    }

    function testTheLoserMayPostOtherRounds() public {
        postWork(1, SECOND, honest());
        submitUpdates(honest());
        pass(50);
        postWork(3, AGGREGATOR, honest());
        vm.assertEq(ledger.postingOf(3).poster, AGGREGATOR);
    }

    function testTheNamedOneThatIsNotBarredHasItsTurn() public {
        postWork(1, SECOND, honest());
        runRound(SECOND, lying());
        vm.assertEq(ledger.runState().aggregator, SECOND);
        submitUpdates(honest());
        pass(50);
        // Round 4 is taken over, so that the name has gone to another than the poster of round 3, which falls.
        postWork(4, THIRD, honest());
        challengeIn(3);
        uint256 openToAllAt = block.timestamp + 50;
        address fourth = address(0x6004);
        bond(fourth, 10_000);
        refusePost(abi.encodeWithSelector(ITrainingLedger.NotYourTurn.selector, fourth, openToAllAt), 3, fourth);
        refusePost(abi.encodeWithSelector(ITrainingLedger.Barred.selector, 3, SECOND), 3, SECOND);
        postWork(3, THIRD, honest());
    }

    function testNothingOpensMeanwhile() public {
        expectError(abi.encodeWithSelector(ITrainingLedger.RoundInProgress.selector, 1));
        ledger.openRound();
        vm.assertEq(ledger.runState().active, 1);
        vm.assertEq(ledger.runState().tip, 0);
        vm.assertEq(latest(), 2);
    }

    function testNothingIsSubmittedMeanwhile(uint32 number) public {
        number = uint32(bound(number, 1, 2));
        RoundStatus status = number == 1 ? RoundStatus.Closed : RoundStatus.Void;
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, status));
        vm.prank(worker(0));
        ledger.submit(number, "genesis", "sealed", 1);
    }

    function testVoidWhenNobodyPostsItAgain() public {
        pass(110);
        expectEvent();
        emit ITrainingLedger.RoundVoided(1, VoidReason.NotPosted);
        expectEvent();
        emit ITrainingLedger.RoundOpened(3, 0, definition().genesisModelRoot, 1, uint40(block.timestamp + 100), 3);
        ledger.voidRound(1);
        verifyStatus(1, RoundStatus.Void);
        vm.assertEq(ledger.runState().active, 3);
        ledger.finalize();
        vm.assertEq(ledger.runState().settled, 2);
    }

    /// @dev Rounds are the seventh mapping; the posting number is the second field of their word.
    function setPostingNumber(uint16 number) private {
        bytes32 slot = keccak256(abi.encode(uint256(1), uint256(7)));
        uint256 word = uint256(vm.load(address(ledger), slot)) & ~(uint256(type(uint16).max) << 8);
        vm.store(address(ledger), slot, bytes32(word | uint256(number) << 8));
        vm.assertEq(ledger.roundOf(1).postingNumber, number);
    }

    function testNoLieStandsBecauseItsFallCannotBeCounted() public {
        setPostingNumber(type(uint16).max - 1);
        postWork(1, SECOND, lying());
        challengeIn(1);
        vm.assertEq(ledger.roundOf(1).postingNumber, type(uint16).max);
        refusePost(abi.encodeWithSelector(ITrainingLedger.Barred.selector, 1, THIRD), 1, THIRD);
        pass(110);
        ledger.voidRound(1);
        verifyStatus(1, RoundStatus.Void);
        claimIn(1, 0);
        vm.assertEq(payoutOf(0).balance, 2 * 9000 / COUNT);
    }

    function testTheDigestStays() public {
        bytes32 digest = ledger.digestOf(1);
        postWork(1, SECOND, lying());
        challengeIn(1);
        vm.assertEq(ledger.digestOf(1), digest);
        vm.assertEq(ledger.leafOf(1, 0), leaf(seal(opening(0, update(0)), 1), weightOf(0), worker(0)));
    }
}

/// @notice Transactions that were made for a posting that fell, mined after the next one, as reorganisations do it.
contract FallenRaceTest is FallingRounds {
    using Vectors for bytes;

    function refuseCall(bytes4 selector, bytes memory call) private {
        (bool isAccepted, bytes memory answer) = address(ledger).call(call);
        vm.assertFalse(isAccepted);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(selector));
    }

    /// @notice Everything that could be said of a posting with a wrong sum, a wrong model and a wrong update.
    function testNothingOfItReachesTheNextPosting() public {
        Work memory made = vectorsOf(noOneOf(COUNT));
        made.updates[1].set(0, 1 << 31);
        submitUpdates(made);
        aggregate(made, Lie(0, 1, 1));
        made.model.add(2, 1);
        postWork(1, AGGREGATOR, made);
        bytes[3] memory calls = [
            abi.encodeCall(ITrainingLedger.challengeSum, (1, sumProof(made, 0, 0))),
            abi.encodeCall(ITrainingLedger.challengeRange, (1, rangeProof(made, 1, 0))),
            abi.encodeCall(ITrainingLedger.challengeApply, (1, applyProof(made, 0)))
        ];
        bytes32 root = made.model.root();
        bytes32 sealedOne = seal(opening(0, made.updates[0]), 1);
        (bool isAccepted,) = address(ledger).call(calls[0]);
        vm.assertTrue(isAccepted);

        made.excluded[1] = true;
        aggregate(made, noLie());
        postWork(1, SECOND, made);
        refuseCall(ITrainingLedger.WrongPartialSums.selector, calls[0]);
        refuseCall(ITrainingLedger.NotIncluded.selector, calls[1]);
        refuseCall(ITrainingLedger.WrongPartialSums.selector, calls[2]);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongModel.selector, root, made.model.root()));
        vm.prank(worker(0));
        ledger.object(1, root, 0, weightOf(0), sealedOne);
        verifyStatus(1, RoundStatus.Posted);
        vm.assertEq(ledger.accountOf(SECOND).lockedBondWei, 10_000);
    }

    function testAWrongModelUnderTheSameListIsAnother() public {
        Work memory made = honest();
        made.model.add(0, 1);
        runRound(AGGREGATOR, made);
        bytes memory call = abi.encodeCall(ITrainingLedger.challengeApply, (1, applyProof(made, 0)));
        (bool isAccepted,) = address(ledger).call(call);
        vm.assertTrue(isAccepted);
        postWork(1, SECOND, honest());
        refuseCall(ITrainingLedger.PathMismatch.selector, call);
        refuseCall(
            ITrainingLedger.NothingWrong.selector,
            abi.encodeCall(ITrainingLedger.challengeApply, (1, applyProof(honest(), 0)))
        );
    }

    /// @notice Whoever posts the same lie again loses its bond to the same proof.
    function testTheSameLieFallsAgain() public {
        runRound(AGGREGATOR, lying());
        challengeIn(1);
        postWork(1, SECOND, lying());
        challengeIn(1);
        vm.assertEq(freeOf(SECOND), 9 * 10_000);
        vm.assertEq(ledger.accountOf(STRANGER).creditWei, 2000);
    }
}

/// @notice Where the money goes.
contract FallenMoneyTest is FallingRounds {
    function testTheBonusIsPartOfTheReward() public {
        runRound(AGGREGATOR, lying());
        challengeIn(1);
        postWork(1, SECOND, honest());
        pass(200);
        expectEvent();
        emit ITrainingLedger.RoundFinalized(1, 10_000, 100, 1);
        ledger.finalize();
        for (uint256 i; i < COUNT; ++i) {
            claimIn(1, i);
            vm.assertEq(payoutOf(i).balance, 3333);
        }
        vm.assertEq(ledger.accountOf(SECOND).creditWei, 100);
        vm.assertEq(freeOf(SECOND), 10 * 10_000);
        vm.assertEq(freeOf(AGGREGATOR), 99 * 10_000);
    }

    function testNoBonusAfterObjections() public {
        runRound(AGGREGATOR, honest());
        objectIn(1);
        postWork(1, SECOND, honest());
        pass(200);
        expectEvent();
        emit ITrainingLedger.RoundFinalized(1, 1000, 100, 1);
        ledger.finalize();
        vm.assertEq(freeOf(AGGREGATOR), 100 * 10_000);
    }

    function testTheExcludedHaveNoShareInAFinalRound() public {
        runRound(AGGREGATOR, lying());
        challengeIn(1);
        Work memory made = vectorsOf(noOneOf(COUNT));
        made.excluded[1] = true;
        aggregate(made, noLie());
        postWork(1, SECOND, made);
        pass(200);
        ledger.finalize();
        refuseClaim(abi.encodeWithSelector(ITrainingLedger.ExcludedFromReward.selector, 1, 1), 1, 1);
        claimIn(1, 0);
        vm.assertEq(payoutOf(0).balance, 5000);
    }

    function testAVoidRoundPaysItsBonusToItsSubmitters() public {
        runRound(AGGREGATOR, lying());
        challengeIn(1);
        uint256 poolWei = ledger.runState().poolWei;
        pass(110);
        ledger.voidRound(1);
        // Its reserve comes back, the next round takes as much, and nine thousand leave no dust.
        vm.assertEq(ledger.runState().poolWei, poolWei);
        for (uint256 i; i < COUNT; ++i) {
            expectEvent();
            emit ITrainingLedger.RewardClaimed(1, worker(i), payoutOf(i), 3000);
            claimIn(1, i);
            vm.assertEq(payoutOf(i).balance, 3000);
            vm.assertTrue(ledger.isClaimed(1, uint16(i)));
        }
        refuseClaim(abi.encodeWithSelector(ITrainingLedger.AlreadyClaimed.selector, 1, 2), 1, 2);
        Claim[] memory claims = new Claim[](1);
        claims[0] = claimOf(1, 1);
        expectError(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 1));
        ledger.claim(worker(2), claims);
    }

    function testAVoidRoundWithoutABonusPaysNothing() public {
        runRound(AGGREGATOR, honest());
        objectIn(1);
        pass(110);
        ledger.voidRound(1);
        refuseClaim(abi.encodeWithSelector(ITrainingLedger.NotFinal.selector, 1), 1, 0);
        refuseClaim(abi.encodeWithSelector(ITrainingLedger.NotFinal.selector, 2), 2, 0);
    }

    function testNothingIsClaimedWhileItIsOpenWhatBecomesOfIt() public {
        runRound(AGGREGATOR, lying());
        challengeIn(1);
        refuseClaim(abi.encodeWithSelector(ITrainingLedger.NotFinal.selector, 1), 1, 0);
        postWork(1, SECOND, honest());
        refuseClaim(abi.encodeWithSelector(ITrainingLedger.NotFinal.selector, 1), 1, 0);
    }

    function testEachLieHasItsOwnBond() public {
        runRound(AGGREGATOR, lying());
        runRound(AGGREGATOR, lying());
        vm.assertEq(ledger.accountOf(AGGREGATOR).lockedBondWei, 20_000);
        challengeIn(2);
        challengeIn(1);
        vm.assertEq(ledger.accountOf(AGGREGATOR).lockedBondWei, 0);
        vm.assertEq(freeOf(AGGREGATOR), 98 * 10_000);
        vm.assertEq(ledger.accountOf(STRANGER).creditWei, 2000);
        vm.assertEq(ledger.bonusOf(1), 9000);
        vm.assertEq(ledger.bonusOf(2), 9000);
        verifyStatus(2, RoundStatus.Void);
    }

    function testWhatStoodOnALieFallsWithItAndFreesItsBond() public {
        runRound(AGGREGATOR, lying());
        runRound(AGGREGATOR, lying());
        challengeIn(1);
        vm.assertEq(ledger.accountOf(AGGREGATOR).lockedBondWei, 0);
        vm.assertEq(freeOf(AGGREGATOR), 99 * 10_000);
        SumProof memory proof = sumProof(lying(), 0, 0);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 2, RoundStatus.Void));
        ledger.challengeSum(2, proof);
    }

    function testARoundKeepsItsBonusWhenItsBaseFalls() public {
        runRound(AGGREGATOR, lying());
        runRound(AGGREGATOR, lying());
        challengeIn(2);
        // Posted again without one of them, who has its share of the bonus all the same once the round is void.
        Work memory made = vectorsOf(noOneOf(COUNT));
        made.excluded[1] = true;
        aggregate(made, noLie());
        postWork(2, SECOND, made);
        challengeIn(1);
        verifyStatus(2, RoundStatus.Void);
        vm.assertEq(freeOf(SECOND), 10 * 10_000);
        for (uint256 i; i < COUNT; ++i) {
            claimIn(2, i);
            vm.assertEq(payoutOf(i).balance, 3000);
        }
    }

    /// @notice Whatever a fallen bond leaves goes to submitters, but what cannot be divided.
    /// forge-config: default.fuzz.runs = 48
    function testTheOperatorGetsOnlyDust(uint128 bondWei, uint256 paid, uint256 way, bool byWeight) public {
        Policy memory policy = rules();
        policy.bondWei = uint128(bound(bondWei, 0, 1e24));
        policy.challengeRewardWei = uint128(bound(paid, 0, policy.bondWei / 10));
        policy.rewardSplit = byWeight ? RewardSplit.DeclaredWeight : RewardSplit.Equal;
        policy.maxRounds = 1;
        deploy(policy, address(0));
        open(COUNT);
        bond(SECOND, policy.bondWei);
        runRound(AGGREGATOR, lying());
        challengeIn(1);
        bool isVoid = way % 2 == 0;
        if (isVoid) {
            vm.prank(OPERATOR);
            ledger.announceEnd();
            pass(110);
            ledger.voidRound(1);
        } else {
            postWork(1, SECOND, honest());
            pass(200);
        }
        ledger.finalize();
        vm.assertTrue(ledger.hasEnded());

        uint256 shareWei = policy.bondWei - policy.challengeRewardWei;
        uint256 earnedWei = shareWei + (isVoid ? 0 : policy.rewardWei);
        uint256 claimedWei;
        for (uint256 i; i < COUNT; ++i) {
            if (isVoid && shareWei == 0) break;
            claimIn(1, i);
            claimedWei += payoutOf(i).balance;
        }
        uint256 shares = byWeight && !isVoid ? 6 : COUNT;
        vm.assertEq(earnedWei - claimedWei, earnedWei % shares);
        uint256 spentWei = isVoid ? 0 : policy.rewardWei + policy.aggregatorRewardWei;
        vm.assertEq(ledger.runState().poolWei, POOL - spentWei + earnedWei % shares);
    }
}

/// @notice What stands on a fallen round.
contract FallenChainTest is FallingRounds {
    function testAllLaterRoundsAreVoidAndTheirBondsFree() public {
        runRound(AGGREGATOR, lying());
        runRound(AGGREGATOR, honest());
        submitUpdates(honest());
        pass(50);
        postWork(3, SECOND, honest());
        uint256 poolWei = ledger.runState().poolWei;
        submitOne(0);

        for (uint32 number = 2; number <= 4; ++number) {
            expectEvent();
            emit ITrainingLedger.RoundVoided(number, VoidReason.BaseFell);
        }
        challengeIn(1);
        for (uint32 number = 2; number <= 4; ++number) {
            verifyStatus(number, RoundStatus.Void);
            vm.assertEq(ledger.roundOf(number).since, block.timestamp);
            vm.assertEq(ledger.modelRootOf(number), bytes32(0));
            vm.assertEq(ledger.sumsHashOf(number), bytes32(0));
            vm.assertEq(ledger.postingOf(number).poster, address(0));
        }
        vm.assertEq(ledger.runState().poolWei, poolWei + 3 * 1100);
        vm.assertEq(freeOf(AGGREGATOR), 99 * 10_000);
        vm.assertEq(freeOf(SECOND), 10 * 10_000);
        vm.assertEq(ledger.runState().active, 1);
        vm.assertEq(latest(), 4);
        vm.assertEq(round().remaining, 0);
        vm.assertEq(round().returning, COUNT);
    }

    function submitOne(uint256 i) private {
        uint32 number = latest();
        bytes32 root = baseRoot();
        vm.prank(worker(i));
        ledger.submit(number, root, "sealed", weightOf(i));
    }

    function testAClosedRoundIsVoidedToo() public {
        runRound(AGGREGATOR, lying());
        submitUpdates(honest());
        verifyStatus(2, RoundStatus.Closed);
        challengeIn(1);
        verifyStatus(2, RoundStatus.Void);
        vm.assertEq(round().returning, COUNT);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 2, RoundStatus.Void));
        ledger.voidRound(2);
    }

    function testEarlierRoundsStand() public {
        runRound(AGGREGATOR, honest());
        runRound(AGGREGATOR, lying());
        challengeIn(2);
        verifyStatus(1, RoundStatus.Posted);
        vm.assertEq(ledger.runState().tip, 1);
        vm.assertEq(ledger.accountOf(AGGREGATOR).lockedBondWei, 10_000);
        pass(100);
        postWork(2, SECOND, honest());
        pass(100);
        ledger.finalize();
        vm.assertEq(ledger.runState().settled, 1);
        pass(100);
        ledger.finalize();
        vm.assertEq(ledger.runState().settled, 3);
        verifyStatus(2, RoundStatus.Final);
    }

    function testAVoidRoundIsLeftAsItIs() public {
        runRound(AGGREGATOR, lying());
        pass(100);
        ledger.closeRound(2);
        uint40 voidedAt = uint40(block.timestamp);
        pass(5);
        // Round 3 alone is voided: one event less.
        uint256 poolWei = ledger.runState().poolWei;
        challengeIn(1);
        vm.assertEq(ledger.roundOf(2).since, voidedAt);
        vm.assertEq(ledger.runState().poolWei, poolWei + 1100);
        verifyStatus(3, RoundStatus.Void);
    }

    function testTheRunGoesOnAfterARepost() public {
        runRound(AGGREGATOR, lying());
        runRound(AGGREGATOR, honest());
        challengeIn(1);
        postWork(1, SECOND, honest());
        Round memory opened = round();
        vm.assertEq(latest(), 4);
        vm.assertEq(opened.baseRound, 1);
        vm.assertEq(opened.step, 2);
        vm.assertEq(opened.remaining, COUNT);
        runRound(SECOND, honest());
        pass(200);
        ledger.finalize();
        vm.assertEq(ledger.runState().settled, 4);
        verifyStatus(1, RoundStatus.Final);
        verifyStatus(2, RoundStatus.Void);
        verifyStatus(3, RoundStatus.Void);
        verifyStatus(4, RoundStatus.Final);
    }

    function testPeopleComeAndGoMeanwhile() public {
        runRound(AGGREGATOR, lying());
        challengeIn(1);
        join1(3);
        vm.prank(worker(0));
        ledger.leave();
        suspend(1);
        vm.assertEq(round().returning, 2);
        postWork(1, SECOND, honest());
        vm.assertEq(round().remaining, 2);
    }

    function join1(uint256 i) private {
        admit(i);
        register(i);
    }

    function testTheExpectedStillCloseTheNextRound() public {
        runRound(AGGREGATOR, lying());
        submitOne(1);
        challengeIn(1);
        postWork(1, SECOND, honest());
        vm.assertEq(round().remaining, COUNT);
        submitUpdates(honest());
        verifyStatus(3, RoundStatus.Closed);
    }
}

/// @notice The longest chain that a policy allows.
contract FallenLongestChainTest is FallingRounds {
    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.maxUnfinalRounds = 64;
        policy.challengeSeconds = 100_000;
    }

    function testSixtyFourRoundsFallInOneTransaction() public {
        runRound(AGGREGATOR, lying());
        Work memory made = honest();
        for (uint256 i; i < 63; ++i) {
            runRound(AGGREGATOR, made);
        }
        vm.assertEq(latest(), 64);
        expectError(abi.encodeWithSelector(ITrainingLedger.TooManyUnfinalRounds.selector, 64, 0));
        ledger.openRound();
        SumProof memory proof = sumProof(lying(), 0, 0);
        uint256 before = gasleft();
        ledger.challengeSum(1, proof);
        vm.assertLe(before - gasleft(), 2_500_000);
        for (uint32 number = 2; number <= 64; ++number) {
            verifyStatus(number, RoundStatus.Void);
        }
        vm.assertEq(ledger.accountOf(AGGREGATOR).lockedBondWei, 0);
        vm.assertEq(ledger.runState().poolWei, POOL - 1100);
        // Void rounds wait for the fallen one: there is room again only when it is settled.
        postWork(1, SECOND, made);
        vm.assertEq(ledger.runState().active, 0);
        expectError(abi.encodeWithSelector(ITrainingLedger.TooManyUnfinalRounds.selector, 64, 0));
        ledger.openRound();
        pass(100_000);
        ledger.openRound();
        vm.assertEq(latest(), 65);
    }
}

/// @notice A fallen round at the end of a run.
contract FallenEndTest is FallingRounds {
    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.maxRounds = 2;
    }

    function testTheLastModelFallsAndIsMadeAgain() public {
        runRound(AGGREGATOR, honest());
        runRound(AGGREGATOR, lying());
        vm.assertEq(latest(), 2);
        vm.deal(OPERATOR, 1);
        expectError(abi.encodeWithSelector(ITrainingLedger.RunEnded.selector));
        vm.prank(OPERATOR);
        ledger.fund{ value: 1 }(1);
        challengeIn(2);
        fund(1);
        pass(200);
        ledger.finalize();
        vm.assertFalse(ledger.hasEnded());
        expectError(abi.encodeWithSelector(ITrainingLedger.RunNotEnded.selector));
        vm.prank(OPERATOR);
        ledger.withdrawPool(OPERATOR);
        ledger.voidRound(2);
        vm.assertEq(latest(), 3);
        vm.assertEq(round().baseRound, 1);
        runRound(AGGREGATOR, honest());
        pass(200);
        ledger.finalize();
        vm.assertTrue(ledger.hasEnded());
    }

    function testAnAnnouncedEndStands() public {
        runRound(AGGREGATOR, lying());
        vm.prank(OPERATOR);
        ledger.announceEnd();
        challengeIn(1);
        postWork(1, SECOND, honest());
        // Round 3 was announced as the last that may open.
        vm.assertEq(ledger.runState().endsAfter, 3);
        vm.assertEq(latest(), 3);
        pass(200);
        ledger.closeRound(3);
        ledger.finalize();
        vm.assertTrue(ledger.hasEnded());
        uint256 poolWei = ledger.runState().poolWei;
        vm.prank(OPERATOR);
        ledger.withdrawPool(OPERATOR);
        vm.assertEq(OPERATOR.balance, poolWei);
        // Bonds, rewards and the challenger's credit are still there.
        vm.assertEq(address(ledger).balance, 3 * 500 + 99 * 10_000 + 20 * 10_000 + 1000 + 3 * 3333 + 100);
    }

    function testAFallenRoundThatNobodyPostsEndsTheRun() public {
        runRound(AGGREGATOR, lying());
        vm.prank(OPERATOR);
        ledger.announceEnd();
        pass(100);
        challengeIn(1);
        pass(110);
        ledger.voidRound(1);
        ledger.finalize();
        vm.assertTrue(ledger.hasEnded());
    }
}
