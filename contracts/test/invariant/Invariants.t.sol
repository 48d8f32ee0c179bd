// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./Actors.sol";

/// @notice What holds after every call, whoever made it and however much time has passed.
abstract contract Invariants is ChallengeTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Actors internal actors;

    function setUp() public override {
        actors = new Actors();
        actors.start(rules());
        ledger = actors.theLedger();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](27);
        selectors[0] = Actors.admitOne.selector;
        selectors[1] = Actors.suspendOne.selector;
        selectors[2] = Actors.fundMore.selector;
        selectors[3] = Actors.announceEnd.selector;
        selectors[4] = Actors.registerOne.selector;
        selectors[5] = Actors.leaveOne.selector;
        selectors[6] = Actors.rotateOne.selector;
        selectors[7] = Actors.submitOne.selector;
        selectors[8] = Actors.advanceAgain.selector;
        selectors[9] = Actors.submitSecondTime.selector;
        selectors[10] = Actors.postOne.selector;
        selectors[11] = Actors.depositBond.selector;
        selectors[12] = Actors.requestBond.selector;
        selectors[13] = Actors.pushOn.selector;
        selectors[14] = Actors.settle.selector;
        selectors[15] = Actors.claimOne.selector;
        selectors[16] = Actors.withdrawOne.selector;
        selectors[17] = Actors.wait.selector;
        selectors[18] = Actors.waitLong.selector;
        selectors[19] = Actors.advance.selector;
        selectors[20] = Actors.challengeRight.selector;
        selectors[21] = Actors.challengeWrong.selector;
        selectors[22] = Actors.objectOne.selector;
        selectors[23] = Actors.objectTogether.selector;
        selectors[24] = Actors.advanceOnceMore.selector;
        selectors[25] = Actors.submitWrongly.selector;
        selectors[26] = Actors.changePayoutOne.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(actors), selectors);
    }

    /// @dev One campaign checks them all: each would otherwise repeat the same calls.
    function invariant_holds() external view {
        verifyCounters();
        verifyDigests();
        verifyBalance();
        verifyStakes();
        verifyOrder();
    }

    /// @dev One counter each, against the list that it stands for.
    function verifyCounters() private view {
        Round memory current = round();
        bool isOpen = current.status == RoundStatus.Open;
        uint256 remaining;
        uint256 returning;
        uint256 registered;
        for (uint256 i; i < actors.WORKERS(); ++i) {
            (, bool barred, bool isRegistered,,,) = actors.lives(i);
            if (isRegistered && !barred) ++registered;
            bool hasSent = actors.hasSent(latest(), i);
            if (isOpen && hasSent && actors.isStanding(i)) ++returning;
            if (isOpen && !hasSent && actors.isMember(i)) ++remaining;
            if (!isOpen && actors.isMember(i)) ++returning;
        }
        vm.assertEq(ledger.runState().registered, registered, "registered");
        vm.assertEq(current.returning, returning, "returning");
        if (isOpen) vm.assertEq(current.remaining, remaining, "remaining");
    }

    /// @dev The digest of every round is the fold of its leaves; the older ones cannot change any more.
    function verifyDigests() private view {
        for (uint32 number = latest(); number > 0 && number + 3 > latest(); --number) {
            Round memory current = ledger.roundOf(number);
            bytes32 digest = startDigest(number, actors.baseRoots(number));
            uint256 totalWeight;
            vm.assertEq(current.submissions, actors.sentCount(number));
            for (uint16 i; i < current.submissions; ++i) {
                (uint256 sender, uint32 weight, bytes32 root,,) = actors.sent(number, i);
                vm.assertEq(ledger.leafOf(number, i), leaf(root, weight, worker(sender)));
                digest = sha256(abi.encodePacked(bytes1(0x07), digest, ledger.leafOf(number, i)));
                totalWeight += weight;
            }
            vm.assertEq(ledger.digestOf(number), digest);
            vm.assertEq(current.totalWeight, totalWeight);
            vm.assertEq(ledger.leafOf(number, current.submissions), bytes32(0));
        }
    }

    /// @dev What came in is in the pool, reserved, bonded, deposited, credited or waiting to be claimed.
    function verifyBalance() private view {
        Policy memory policy = ledger.policy();
        uint256 owedWei = ledger.runState().poolWei;
        for (uint256 i; i < actors.WORKERS(); ++i) {
            owedWei += ledger.participantOf(worker(i)).depositWei + held(worker(i));
        }
        for (uint256 i; i < actors.AGGREGATORS(); ++i) {
            owedWei += held(actors.aggregator(i));
            vm.assertEq(
                ledger.accountOf(actors.aggregator(i)).lockedBondWei,
                policy.bondWei * postedBy(actors.aggregator(i)),
                "locked bonds"
            );
        }
        for (uint256 i; i < actors.CHALLENGERS(); ++i) {
            owedWei += held(actors.challenger(i));
        }
        for (uint32 number = 1; number <= latest(); ++number) {
            RoundStatus status = ledger.roundOf(number).status;
            if (status == RoundStatus.Final) owedWei += unclaimed(number, policy);
            else if (status == RoundStatus.Void) owedWei += unclaimedBonus(number);
            else owedWei += policy.rewardWei + policy.aggregatorRewardWei + ledger.bonusOf(number);
        }
        vm.assertEq(address(ledger).balance, owedWei, "balance");
        vm.assertEq(actors.cameInWei(), address(ledger).balance + actors.paidWei(), "what came in");
    }

    function held(address account) private view returns (uint256) {
        Account memory one = ledger.accountOf(account);
        return uint256(one.freeBondWei) + one.lockedBondWei + one.creditWei + one.unbondingWei;
    }

    function postedBy(address poster) private view returns (uint256 count) {
        for (uint32 number = 1; number <= latest(); ++number) {
            bool isPosted = ledger.roundOf(number).status == RoundStatus.Posted;
            if (isPosted && ledger.postingOf(number).poster == poster) ++count;
        }
    }

    function unclaimed(uint32 number, Policy memory policy) private view returns (uint256 amountWei) {
        Posting memory posting = ledger.postingOf(number);
        Round memory current = ledger.roundOf(number);
        uint256 rewardWei = policy.rewardWei + ledger.bonusOf(number);
        for (uint16 i; i < current.submissions; ++i) {
            vm.assertEq(ledger.isExcluded(number, i), actors.isLeftOut(number, current.postingNumber, i));
            if (ledger.isExcluded(number, i) || ledger.isClaimed(number, i)) continue;
            (, uint32 weight,,,) = actors.sent(number, i);
            amountWei += policy.rewardSplit == RewardSplit.Equal
                ? rewardWei / posting.included
                : rewardWei / posting.includedWeight * weight;
        }
    }

    function unclaimedBonus(uint32 number) private view returns (uint256 amountWei) {
        uint256 bonusWei = ledger.bonusOf(number);
        uint16 submissions = ledger.roundOf(number).submissions;
        if (bonusWei == 0) return 0;

        for (uint16 i; i < submissions; ++i) {
            if (!ledger.isClaimed(number, i)) amountWei += bonusWei / submissions;
        }
    }

    /// @dev A bond is lost for a lie that was proved and for nothing else; the first aggregator never lies.
    function verifyStakes() private view {
        Policy memory policy = ledger.policy();
        for (uint256 i; i < actors.AGGREGATORS(); ++i) {
            address one = actors.aggregator(i);
            uint256 lost = actors.refuted(one);
            uint256 earnedWei = actors.bondedWei(one) + policy.aggregatorRewardWei * finalisedBy(one);
            vm.assertEq(held(one) + one.balance + lost * policy.bondWei, earnedWei, "stakes");
        }
        vm.assertEq(actors.refuted(actors.aggregator(0)), 0, "an honest poster lost its bond");
        for (uint256 i; i < actors.CHALLENGERS(); ++i) {
            address one = actors.challenger(i);
            vm.assertEq(held(one) + one.balance, actors.challenges(one) * policy.challengeRewardWei, "challenges");
        }
    }

    function finalisedBy(address poster) private view returns (uint256 count) {
        for (uint32 number = 1; number <= ledger.runState().settled; ++number) {
            bool isFinal = ledger.roundOf(number).status == RoundStatus.Final;
            if (isFinal && ledger.postingOf(number).poster == poster) ++count;
        }
    }

    function verifyOrder() private view {
        RunState memory state = ledger.runState();
        vm.assertLe(state.settled, state.latest);
        vm.assertLe(state.latest - state.settled, ledger.policy().maxUnfinalRounds);
        vm.assertEq(uint256(ledger.roundOf(state.latest + 1).status), uint256(RoundStatus.None));
        uint32 steps;
        uint32 tip;
        uint32 active;
        for (uint32 number = 1; number <= state.latest; ++number) {
            Round memory current = ledger.roundOf(number);
            bool isSettled = current.status == RoundStatus.Final || current.status == RoundStatus.Void;
            if (number <= state.settled) vm.assertTrue(isSettled, "settled too early");
            else vm.assertTrue(current.status != RoundStatus.Final, "final out of order");
            if (active != 0) vm.assertTrue(current.status == RoundStatus.Void, "built on a round that fell");
            if (current.status == RoundStatus.Void) continue;
            vm.assertEq(current.baseRound, tip);
            vm.assertEq(current.step, steps + 1);
            vm.assertEq(ledger.modelRootOf(tip), actors.baseRoots(number));
            if (current.status == RoundStatus.Posted || current.status == RoundStatus.Final) {
                tip = number;
                steps = current.step;
            } else {
                active = number;
            }
        }
        vm.assertEq(state.active, active, "active");
        vm.assertEq(state.tip, tip);
        vm.assertEq(state.lastClosed, actors.newestClosed());
    }

    /// @notice Whatever was reached: everyone can get out, with the operator or without, and then the ledger is empty.
    function afterInvariant() external {
        actors.windUp(latest() % 2 == 0);
        vm.assertEq(address(ledger).balance, 0, "money is stuck");
    }
}

/// @notice The expected set alone closes rounds; equal rewards.
contract InvariantsTest is Invariants {
    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.maxUnfinalRounds = 3;
        policy.challengeSeconds = 60;
        policy.unbondingSeconds = 40;
        policy.quorum = 2;
    }
}

/// @notice What the campaigns are for does happen where such actions are drawn.
contract ReachTest is ChallengeTest {
    Actors private actors;

    function setUp() public override {
        actors = new Actors();
        actors.start(rules());
    }

    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.quorum = 2;
        policy.challengeSeconds = 60;
    }

    function testEverythingHappens() public {
        for (uint256 i; i < 600; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(i)));
            uint256 seed = draw >> 8;
            if (draw % 16 == 0) actors.challengeRight(seed);
            else if (draw % 16 == 1) actors.objectTogether(seed);
            else if (draw % 16 < 4) actors.claimOne(seed);
            else if (draw % 16 == 4) actors.fundMore(seed);
            else actors.advance(seed);
        }
        actors.windUp(false);
        vm.assertEq(address(actors.theLedger()).balance, 0, "money is stuck");
        string[9] memory events = [
            "honest posting",
            "lie",
            "refuted",
            "fell with others on it",
            "rejected",
            "posted again",
            "voided with a bonus",
            "claim of a bonus",
            "claim of a reward"
        ];
        for (uint256 i; i < events.length; ++i) {
            vm.assertTrue(actors.done(bytes32(bytes(events[i]))) != 0, events[i]);
        }
    }
}
