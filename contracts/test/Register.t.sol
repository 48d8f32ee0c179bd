// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract RegisterTest is LedgerTest {
    function leave(uint256 i) private {
        vm.prank(worker(i));
        ledger.leave();
    }

    function testTakesTheDeposit(address payout) public {
        vm.assume(payout != address(0));
        admit(0);
        vm.deal(worker(0), 500);
        expectEvent();
        emit ITrainingLedger.ParticipantRegistered(worker(0), payout, 500);
        vm.prank(worker(0));
        ledger.register{ value: 500 }(payout);
        Participant memory held = ledger.participantOf(worker(0));
        vm.assertEq(held.payout, payout);
        vm.assertEq(held.depositWei, 500);
        vm.assertTrue(held.registered);
        vm.assertEq(held.barredFrom, NEVER);
        vm.assertEq(ledger.runState().registered, 1);
        vm.assertEq(ledger.roundOf(0).returning, 1);
    }

    function testComingBackIsExpectedAgain() public {
        open(3);
        leave(2);
        vm.assertEq(round().remaining, 2);
        register(2);
        vm.assertEq(round().remaining, 3);
        submit(2);
        vm.assertEq(round().remaining, 2);
        vm.assertEq(round().returning, 1);
    }

    function testComingBackDoesNotSubmitTwice() public {
        open(3);
        submit(2);
        leave(2);
        vm.assertEq(round().returning, 0);
        register(2);
        vm.assertEq(round().returning, 1);
        vm.assertEq(round().remaining, 2);
        bytes32 base = baseRoot();
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadySubmitted.selector, 1, worker(2)));
        vm.prank(worker(2));
        ledger.submit(1, base, "again", 1);
    }

    function testComingBackBetweenRounds() public {
        close(3);
        leave(2);
        vm.assertEq(round().returning, 2);
        register(2);
        vm.assertEq(round().returning, 3);
    }

    function testOneThatWasNotSeenForARoundIsExpectedOnceItRegisters() public {
        open(2);
        admit(2);
        submitAll(2);
        pass(100);
        ledger.closeRound(1);
        vm.assertEq(round().returning, 2);
        register(2);
        vm.assertEq(round().returning, 3);
    }

    function testRefusesTheUnadmitted(address caller) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.NotAdmitted.selector, caller));
        vm.prank(caller);
        ledger.register(payoutOf(0));
    }

    function testRefusesTwice() public {
        join(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadyRegistered.selector, worker(0)));
        register(0);
    }

    function testRefusesTheSuspended() public {
        join(1);
        suspend(0);
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadyRegistered.selector, worker(0)));
        register(0);
        leave(0);
        vm.deal(worker(0), 500);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotAdmitted.selector, worker(0)));
        vm.prank(worker(0));
        ledger.register{ value: 500 }(payoutOf(0));
    }

    function testRefusesNoPayout() public {
        admit(0);
        expectError(abi.encodeWithSelector(ITrainingLedger.ZeroAddress.selector));
        vm.prank(worker(0));
        ledger.register(address(0));
    }

    function testRefusesAnotherPayment(uint96 sentWei) public {
        vm.assume(sentWei != 500);
        admit(0);
        vm.deal(worker(0), sentWei);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, sentWei, 500));
        vm.prank(worker(0));
        ledger.register{ value: sentWei }(payoutOf(0));
    }
}
