// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract FundTest is LedgerTest {
    function testAnyoneFunds(uint96 amountWei) public {
        vm.deal(STRANGER, amountWei);
        expectEvent();
        emit ITrainingLedger.PoolFunded(STRANGER, amountWei);
        vm.prank(STRANGER);
        ledger.fund{ value: amountWei }(amountWei);
        vm.assertEq(ledger.runState().poolWei, amountWei);
        vm.assertEq(address(ledger).balance, amountWei);
    }

    function testRefusesAnotherPayment(uint96 sentWei, uint96 amountWei) public {
        vm.assume(sentWei != amountWei);
        vm.deal(STRANGER, sentWei);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, sentWei, amountWei));
        vm.prank(STRANGER);
        ledger.fund{ value: sentWei }(amountWei);
    }

    function testRefusesMoneyThatNoRoundCanUse() public {
        vm.prank(OPERATOR);
        ledger.announceEnd();
        pass(ledger.policy().submissionSeconds);
        vm.deal(STRANGER, 1);
        expectError(abi.encodeWithSelector(ITrainingLedger.RunEnded.selector));
        vm.prank(STRANGER);
        ledger.fund{ value: 1 }(1);
    }
}
