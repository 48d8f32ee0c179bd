// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract ChangePayoutTest is LedgerTest {
    function testChanges(address payout) public {
        vm.assume(payout != address(0));
        join(1);
        expectEvent();
        emit ITrainingLedger.PayoutChanged(worker(0), payout);
        vm.prank(worker(0));
        ledger.changePayout(payout);
        vm.assertEq(ledger.participantOf(worker(0)).payout, payout);
    }

    function testServesOneThatLeft() public {
        join(1);
        vm.prank(worker(0));
        ledger.leave();
        vm.prank(worker(0));
        ledger.changePayout(STRANGER);
        vm.assertEq(ledger.participantOf(worker(0)).payout, STRANGER);
    }

    function testRefusesTheUnregistered(address caller) public {
        admit(0);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, caller));
        vm.prank(caller);
        ledger.changePayout(STRANGER);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, worker(0)));
        vm.prank(worker(0));
        ledger.changePayout(STRANGER);
    }

    function testRefusesTheZeroAddress() public {
        join(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.ZeroAddress.selector));
        vm.prank(worker(0));
        ledger.changePayout(address(0));
    }
}
