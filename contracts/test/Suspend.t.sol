// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract SuspendTest is LedgerTest {
    function testBarsFromTheNextRoundOn() public {
        open(3);
        expectEvent();
        emit ITrainingLedger.ParticipantSuspended(worker(2), 2);
        suspend(2);
        vm.assertEq(ledger.participantOf(worker(2)).barredFrom, 2);
        vm.assertEq(ledger.runState().registered, 2);
        vm.assertEq(round().remaining, 2);
        submit(2);
        vm.assertEq(round().remaining, 2);
        vm.assertEq(round().returning, 0);
        vm.assertEq(round().submissions, 1);
    }

    function testNoLongerExpectsOneThatHasSubmitted() public {
        open(3);
        submit(2);
        suspend(2);
        vm.assertEq(round().remaining, 2);
        vm.assertEq(round().returning, 0);
    }

    function testMayCompleteTheOpenRound() public {
        open(3);
        submitAll(2);
        bytes32 digest = ledger.digestOf(1);
        bytes32 seed = sha256(abi.encodePacked(block.prevrandao, digest));
        expectEvent();
        emit ITrainingLedger.ParticipantSuspended(worker(2), 2);
        expectEvent();
        emit ITrainingLedger.RoundClosed(1, digest, seed, 2, 3, 2);
        suspend(2);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Closed));
    }

    function testKeepsOneThatHasNotRegisteredOut() public {
        admit(0);
        suspend(0);
        vm.assertFalse(ledger.participantOf(worker(0)).admitted);
        vm.deal(worker(0), 500);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotAdmitted.selector, worker(0)));
        vm.prank(worker(0));
        ledger.register{ value: 500 }(payoutOf(0));
    }

    function testKeepsOneThatLeftOut() public {
        open(3);
        vm.prank(worker(2));
        ledger.leave();
        suspend(2);
        vm.assertEq(round().remaining, 2);
        vm.assertEq(ledger.runState().registered, 2);
        vm.deal(worker(2), 500);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotAdmitted.selector, worker(2)));
        vm.prank(worker(2));
        ledger.register{ value: 500 }(payoutOf(2));
    }

    function testCountsOneThatCameBackOut() public {
        open(3);
        vm.prank(worker(2));
        ledger.leave();
        register(2);
        vm.assertEq(round().remaining, 3);
        suspend(2);
        vm.assertEq(round().remaining, 2);
        vm.assertEq(ledger.runState().registered, 2);
    }

    function testLeavesTheUncountedUncounted() public {
        open(3);
        submitAll(2);
        pass(100);
        ledger.closeRound(1);
        suspend(2);
        vm.assertEq(round().returning, 2);
    }

    function testRefusesAnyoneButTheOperator(address caller) public {
        vm.assume(caller != OPERATOR);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotOperator.selector, caller));
        vm.prank(caller);
        ledger.suspend(worker(0));
    }

    function testRefusesAStranger(address participant) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.NotAdmitted.selector, participant));
        vm.prank(OPERATOR);
        ledger.suspend(participant);
    }

    function testRefusesTwice() public {
        join(1);
        suspend(0);
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadySuspended.selector, worker(0)));
        suspend(0);
    }
}
