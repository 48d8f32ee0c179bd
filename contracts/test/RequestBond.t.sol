// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract RequestBondTest is LedgerTest {
    function request(address account, uint256 amountWei) private {
        vm.prank(account);
        ledger.requestBond(amountWei);
    }

    function testRequestUnbonds(uint96 heldWei, uint96 askedWei) public {
        vm.assume(heldWei != 0);
        askedWei = uint96(bound(askedWei, 1, heldWei));
        bond(STRANGER, heldWei);
        expectEvent();
        emit ITrainingLedger.BondRequested(STRANGER, askedWei, uint40(block.timestamp + 300));
        request(STRANGER, askedWei);
        Account memory account = ledger.accountOf(STRANGER);
        vm.assertEq(account.freeBondWei, heldWei - askedWei);
        vm.assertEq(account.unbondingWei, askedWei);
        vm.assertEq(account.releasableAt, block.timestamp + 300);
    }

    function testAskingAgainDelaysOnlyWhatIsNotDue() public {
        bond(STRANGER, 100);
        request(STRANGER, 10);
        pass(299);
        request(STRANGER, 20);
        vm.assertEq(ledger.accountOf(STRANGER).unbondingWei, 30);
        vm.assertEq(ledger.accountOf(STRANGER).creditWei, 0);
        pass(300);
        request(STRANGER, 40);
        vm.assertEq(ledger.accountOf(STRANGER).creditWei, 30);
        vm.assertEq(ledger.accountOf(STRANGER).unbondingWei, 40);
        vm.assertEq(ledger.accountOf(STRANGER).releasableAt, block.timestamp + 300);
    }

    function testLockedBondsStay() public {
        close(2);
        post();
        expectError(abi.encodeWithSelector(ITrainingLedger.BondTooSmall.selector, 99 * 10_000, 99 * 10_000 + 1));
        request(AGGREGATOR, 99 * 10_000 + 1);
        request(AGGREGATOR, 99 * 10_000);
    }

    function testRefusesNothing() public {
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingToWithdraw.selector, STRANGER));
        request(STRANGER, 0);
    }
}
