// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract WithdrawPoolTest is LedgerTest {
    address private constant TREASURY = address(0x4000);

    function withdrawPool() private {
        vm.prank(OPERATOR);
        ledger.withdrawPool(TREASURY);
    }

    function end() private {
        vm.prank(OPERATOR);
        ledger.announceEnd();
        pass(ledger.policy().submissionSeconds);
    }

    function testPaysWhatIsLeft() public {
        close(2);
        post();
        end();
        ledger.closeRound(2);
        pass(200);
        ledger.finalize();
        expectEvent();
        emit ITrainingLedger.PoolWithdrawn(TREASURY, POOL - 1100);
        withdrawPool();
        vm.assertEq(TREASURY.balance, POOL - 1100);
        vm.assertEq(ledger.runState().poolWei, 0);
        vm.assertEq(address(ledger).balance, 1100 + 100 * 10_000 + 2 * 500);
    }

    function testRefusesWhileARoundIsNotSettled() public {
        close(2);
        post();
        end();
        expectError(abi.encodeWithSelector(ITrainingLedger.RunNotEnded.selector));
        withdrawPool();
    }

    function testRefusesBeforeTheEnd() public {
        fund(POOL);
        expectError(abi.encodeWithSelector(ITrainingLedger.RunNotEnded.selector));
        withdrawPool();
    }

    function testRefusesAnEmptyPool() public {
        end();
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingToWithdraw.selector, OPERATOR));
        withdrawPool();
    }

    function testRefusesTheZeroAddress() public {
        expectError(abi.encodeWithSelector(ITrainingLedger.ZeroAddress.selector));
        vm.prank(OPERATOR);
        ledger.withdrawPool(address(0));
    }

    function testRefusesAnyoneButTheOperator(address caller) public {
        vm.assume(caller != OPERATOR);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotOperator.selector, caller));
        vm.prank(caller);
        ledger.withdrawPool(TREASURY);
    }

    function testRefusesAReceiverThatCannotTakeIt() public {
        fund(POOL);
        end();
        expectError(abi.encodeWithSelector(ITrainingLedger.TransferFailed.selector, address(this), POOL));
        vm.prank(OPERATOR);
        ledger.withdrawPool(address(this));
    }
}
