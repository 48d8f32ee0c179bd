// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract AdmitTest is LedgerTest {
    function testAdmits(address participant, uint32 cap) public {
        vm.assume(participant != address(0));
        cap = uint32(bound(cap, 1, 1000));
        expectEvent();
        emit ITrainingLedger.ParticipantAdmitted(participant, cap);
        vm.prank(OPERATOR);
        ledger.admit(participant, cap);
        Participant memory held = ledger.participantOf(participant);
        vm.assertEq(held.signer, participant);
        vm.assertEq(held.weightCap, cap);
        vm.assertTrue(held.admitted);
        vm.assertFalse(held.registered);
        vm.assertEq(held.barredFrom, 0);
        vm.assertEq(ledger.identityOf(participant), participant);
        vm.assertEq(ledger.runState().registered, 0);
    }

    function testExpectsItFromTheFirstRoundOn() public {
        join(2);
        admit(2);
        vm.assertEq(ledger.roundOf(0).returning, 3);
        fund(POOL);
        ledger.openRound();
        vm.assertEq(round().remaining, 3);
    }

    function testExpectsItInTheOpenRound() public {
        open(2);
        admit(2);
        vm.assertEq(round().remaining, 3);
    }

    function testExpectsItInTheNextRoundOnceThisOneIsClosed() public {
        close(2);
        admit(2);
        vm.assertEq(round().returning, 3);
        vm.assertEq(ledger.participantOf(worker(2)).lastSeen, 1);
        post();
        vm.assertEq(round().remaining, 3);
    }

    function testReinstatesWithANewCap(uint32 cap) public {
        cap = uint32(bound(cap, 1, 1000));
        join(2);
        suspend(1);
        vm.prank(OPERATOR);
        ledger.admit(worker(1), cap);
        Participant memory held = ledger.participantOf(worker(1));
        vm.assertEq(held.weightCap, cap);
        vm.assertEq(held.barredFrom, NEVER);
        vm.assertTrue(held.registered);
        vm.assertEq(ledger.runState().registered, 2);
        vm.assertEq(ledger.roundOf(0).returning, 2);
    }

    function testReinstatesOneThatLeftWhileSuspended() public {
        open(3);
        suspend(2);
        vm.prank(worker(2));
        ledger.leave();
        admit(2);
        vm.assertEq(round().remaining, 3);
        register(2);
        vm.assertEq(round().remaining, 3);
        submit(2);
        vm.assertEq(round().remaining, 2);
    }

    function testReinstatesOneThatWasSuspendedBeforeItRegistered() public {
        admit(0);
        suspend(0);
        vm.assertEq(ledger.roundOf(0).returning, 0);
        admit(0);
        vm.assertEq(ledger.roundOf(0).returning, 1);
        register(0);
        vm.assertEq(ledger.roundOf(0).returning, 1);
    }

    function testRefusesToReinstateInTheRoundOpenAtTheSuspension() public {
        open(3);
        suspend(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.SuspensionPending.selector, worker(2), 2));
        admit(2);
        submitAll(2);
        admit(2);
        vm.assertEq(round().returning, 3);
    }

    function testReinstatesIntoAnOpenRoundThatItWasBarredFrom() public {
        open(3);
        suspend(2);
        submitAll(2);
        post();
        vm.assertEq(ledger.participantOf(worker(2)).barredFrom, latest());
        vm.assertEq(round().remaining, 2);
        admit(2);
        vm.assertEq(round().remaining, 3);
        submit(2);
        vm.assertEq(round().remaining, 2);
    }

    function testRefusesAnyoneButTheOperator(address caller) public {
        vm.assume(caller != OPERATOR);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotOperator.selector, caller));
        vm.prank(caller);
        ledger.admit(worker(0), 1);
    }

    function testRefusesTheZeroAddress() public {
        expectError(abi.encodeWithSelector(ITrainingLedger.ZeroAddress.selector));
        vm.prank(OPERATOR);
        ledger.admit(address(0), 1);
    }

    function testRefusesACapOutOfBounds(uint32 cap) public {
        vm.assume(cap == 0 || cap > 1000);
        expectError(abi.encodeWithSelector(ITrainingLedger.WeightCapOutOfBounds.selector, cap, 1000));
        vm.prank(OPERATOR);
        ledger.admit(worker(0), cap);
    }

    function testCapAtItsBounds() public {
        testAdmits(worker(0), 1);
        testAdmits(worker(1), 1000);
        testRefusesACapOutOfBounds(0);
        testRefusesACapOutOfBounds(1001);
    }

    function testRefusesTwice() public {
        admit(0);
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadyAdmitted.selector, worker(0)));
        admit(0);
        register(0);
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadyAdmitted.selector, worker(0)));
        admit(0);
    }

    function testRefusesASigningKeyOfAnother() public {
        join(1);
        vm.prank(worker(0));
        ledger.requestSignerRotation(worker(9));
        pass(300);
        vm.prank(worker(9));
        ledger.rotateSigner(worker(0));
        expectError(abi.encodeWithSelector(ITrainingLedger.SignerTaken.selector, worker(9)));
        admit(9);
    }

    function testRefusesMoreThanTheCountersHold() public {
        bytes32 slot = bytes32(uint256(3));
        admit(0);
        vm.assertEq(vm.load(address(ledger), slot), bytes32(uint256(1)));
        vm.store(address(ledger), slot, bytes32(uint256(type(uint16).max - 1)));
        admit(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.TooManyParticipants.selector, type(uint16).max));
        admit(2);
    }
}
