// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract WithdrawTest is LedgerTest {
    function testPaysCreditAndWhatIsDue() public {
        close(2);
        post();
        vm.prank(AGGREGATOR);
        ledger.requestBond(5000);
        pass(200);
        ledger.finalize();
        expectEvent();
        emit ITrainingLedger.Withdrawn(AGGREGATOR, AGGREGATOR, 100);
        vm.prank(STRANGER);
        ledger.withdraw(AGGREGATOR);
        vm.assertEq(AGGREGATOR.balance, 100);
        pass(100);
        ledger.withdraw(AGGREGATOR);
        vm.assertEq(AGGREGATOR.balance, 5100);
    }

    function testPaysADepositToThePayoutAddress() public {
        join(1);
        vm.prank(worker(0));
        ledger.leave();
        pass(299);
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingToWithdraw.selector, worker(0)));
        ledger.withdraw(worker(0));
        pass(1);
        expectEvent();
        emit ITrainingLedger.Withdrawn(worker(0), payoutOf(0), 500);
        ledger.withdraw(worker(0));
        vm.assertEq(payoutOf(0).balance, 500);
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingToWithdraw.selector, worker(0)));
        ledger.withdraw(worker(0));
    }

    function testRefusesAnEmptyAccount(address account) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingToWithdraw.selector, account));
        ledger.withdraw(account);
    }

    function testRefusesAnAccountThatCannotTakeIt() public {
        address account = address(ledger);
        vm.deal(account, 10);
        vm.prank(account);
        ledger.depositBond{ value: 10 }(10);
        vm.prank(account);
        ledger.requestBond(10);
        pass(300);
        expectError(abi.encodeWithSelector(ITrainingLedger.TransferFailed.selector, account, 10));
        ledger.withdraw(account);
    }
}
