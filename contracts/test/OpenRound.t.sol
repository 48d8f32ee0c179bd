// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract OpenRoundTest is LedgerTest {
    function testOpensTheFirstRoundOnGenesis() public {
        fund(POOL);
        join(3);
        expectEvent();
        emit ITrainingLedger.RoundOpened(1, 0, "genesis", 1, uint40(block.timestamp + 100), 3);
        vm.prank(STRANGER);
        ledger.openRound();
        Round memory current = round();
        vm.assertEq(uint256(current.status), uint256(RoundStatus.Open));
        vm.assertEq(current.since, block.timestamp);
        vm.assertEq(current.remaining, 3);
        vm.assertEq(current.step, 1);
        vm.assertEq(current.baseRound, 0);
        vm.assertEq(current.lastClosed, 0);
        vm.assertEq(ledger.digestOf(1), startDigest(1, "genesis"));
        vm.assertEq(ledger.runState().poolWei, POOL - 1100);
    }

    function testRefusesWhileOneIsOpenOrClosed() public {
        open(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.RoundInProgress.selector, 1));
        ledger.openRound();
        submitAll(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.RoundInProgress.selector, 1));
        ledger.openRound();
    }

    function testRefusesBelowTheQuorum() public {
        fund(POOL);
        join(1);
        admit(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.TooFewParticipants.selector, 1, 2));
        ledger.openRound();
        register(1);
        ledger.openRound();
    }

    function testRefusesWithoutTheReward() public {
        fund(1099);
        join(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.PoolTooSmall.selector, 1099, 1100));
        ledger.openRound();
        fund(1);
        ledger.openRound();
        vm.assertEq(ledger.runState().poolWei, 0);
    }

    function testOpensAsManyRoundsAsThePrivacyBudgetHolds(uint64 perRound, uint64 rest) public {
        Policy memory policy = rules();
        policy.rhoMicroPerRound = uint64(bound(perRound, 1, type(uint64).max / 3));
        policy.rhoMicroBudget = 2 * policy.rhoMicroPerRound + uint64(bound(rest, 0, policy.rhoMicroPerRound - 1));
        deploy(policy, address(0));
        open(2);
        submitAll(2);
        post();
        vm.assertEq(latest(), 2, "the second round fits");

        // The second is void, and its updates may have been published: it counts.
        pass(100);
        ledger.closeRound(2);

        vm.assertEq(latest(), 2, "the third does not fit");
        uint256 needed = 3 * uint256(policy.rhoMicroPerRound);
        expectError(abi.encodeWithSelector(ITrainingLedger.PrivacyBudgetSpent.selector, needed, policy.rhoMicroBudget));
        ledger.openRound();
        pass(200);
        ledger.finalize();
        vm.assertTrue(ledger.hasEnded(), "the pool is free again");
    }

    function testKeepsNoBudgetWhereARoundCostsNothing() public {
        vm.assertEq(rules().rhoMicroBudget, 0);
        open(2);
        submitAll(2);
        post();
        vm.assertEq(latest(), 2);
    }

    function testWaitsForRoomAndMakesIt() public {
        open(2);
        for (uint32 i; i < 4; ++i) {
            submitAll(2);
            post();
        }
        vm.assertEq(latest(), 4);
        expectError(abi.encodeWithSelector(ITrainingLedger.TooManyUnfinalRounds.selector, 4, 0));
        ledger.openRound();
        pass(200);
        expectEvent();
        emit ITrainingLedger.RoundFinalized(1, 1000, 100, 0);
        ledger.openRound();
        vm.assertEq(latest(), 5);
        vm.assertEq(ledger.runState().settled, 1);
    }

    function testVoidRoundsTakeRoomUntilTheyAreSettled() public {
        open(2);
        for (uint32 i = 1; i < 10; ++i) {
            pass(100);
            if (i > 3) {
                expectEvent();
                emit ITrainingLedger.VoidRoundSettled(i - 3);
            }
            ledger.closeRound(i);
            vm.assertEq(latest(), i + 1);
        }
        vm.assertEq(ledger.runState().settled, 6);
    }

    function testEndsAfterTheLastStep() public {
        Policy memory policy = rules();
        policy.maxRounds = 2;
        deploy(policy, address(0));
        open(2);
        pass(100);
        ledger.closeRound(1);
        submitAll(2);
        post();
        submitAll(2);
        post();
        vm.assertEq(latest(), 3);
        vm.assertEq(round().step, 2);
        expectError(abi.encodeWithSelector(ITrainingLedger.RunEnded.selector));
        ledger.openRound();
        vm.assertFalse(ledger.hasEnded());
        pass(200);
        ledger.finalize();
        vm.assertTrue(ledger.hasEnded());
    }
}
