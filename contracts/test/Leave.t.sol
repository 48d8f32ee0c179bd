// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract LeaveTest is LedgerTest {
    function leave(uint256 i) private {
        vm.prank(worker(i));
        ledger.leave();
    }

    function testTheDepositUnbonds() public {
        join(2);
        expectEvent();
        emit ITrainingLedger.ParticipantLeft(worker(1), 500);
        leave(1);
        Account memory account = ledger.accountOf(worker(1));
        vm.assertEq(account.unbondingWei, 500);
        vm.assertEq(account.releasableAt, block.timestamp + 300);
        Participant memory held = ledger.participantOf(worker(1));
        vm.assertFalse(held.registered);
        vm.assertTrue(held.admitted);
        vm.assertEq(held.depositWei, 0);
        vm.assertEq(ledger.runState().registered, 1);
        vm.assertEq(ledger.roundOf(0).returning, 1);
    }

    function testMayCompleteTheOpenRound() public {
        open(3);
        submitAll(2);
        bytes32 digest = ledger.digestOf(1);
        bytes32 seed = sha256(abi.encodePacked(block.prevrandao, digest));
        expectEvent();
        emit ITrainingLedger.RoundClosed(1, digest, seed, 2, 3, 2);
        leave(2);
        vm.assertEq(ledger.runState().lastClosed, 1);
    }

    function testDoesNotCloseBelowTheQuorum() public {
        open(3);
        submit(0);
        leave(1);
        leave(2);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Open));
        vm.assertEq(round().remaining, 0);
        pass(100);
        ledger.closeRound(1);
        vm.assertEq(uint256(ledger.roundOf(1).status), uint256(RoundStatus.Void));
    }

    function testTheSuspendedLeaveAndAreCountedOnce() public {
        open(3);
        suspend(2);
        leave(2);
        vm.assertEq(ledger.runState().registered, 2);
        vm.assertEq(round().remaining, 2);
        vm.assertEq(ledger.accountOf(worker(2)).unbondingWei, 500);
    }

    function testRewardsStayClaimable() public {
        close(2);
        bytes32 root = sealedRoot(1);
        post();
        leave(1);
        pass(200);
        ledger.finalize();
        Claim[] memory claims = new Claim[](1);
        claims[0] = Claim(1, 1, weightOf(1), root);
        ledger.claim(worker(1), claims);
        vm.assertEq(payoutOf(1).balance, 500);
    }

    function testCannotSubmitAnyMore() public {
        open(3);
        leave(2);
        bytes32 base = baseRoot();
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, worker(2)));
        vm.prank(worker(2));
        ledger.submit(1, base, "sealed", 1);
    }

    function testRefusesTheUnregistered(address caller) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, caller));
        vm.prank(caller);
        ledger.leave();
    }

    function testRefusesTwice() public {
        join(1);
        leave(0);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, worker(0)));
        leave(0);
    }
}
