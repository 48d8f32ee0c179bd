// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract DepositBondTest is LedgerTest {
    function testDeposits(uint96 amountWei) public {
        vm.deal(STRANGER, amountWei);
        expectEvent();
        emit ITrainingLedger.BondDeposited(STRANGER, amountWei);
        vm.prank(STRANGER);
        ledger.depositBond{ value: amountWei }(amountWei);
        vm.assertEq(ledger.accountOf(STRANGER).freeBondWei, amountWei);
    }

    function testRefusesAnotherPayment(uint96 sentWei, uint96 amountWei) public {
        vm.assume(sentWei != amountWei);
        vm.deal(STRANGER, sentWei);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, sentWei, amountWei));
        vm.prank(STRANGER);
        ledger.depositBond{ value: sentWei }(amountWei);
    }
}
