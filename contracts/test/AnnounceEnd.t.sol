// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract AnnounceEndTest is LedgerTest {
    function announce() private {
        vm.prank(OPERATOR);
        ledger.announceEnd();
    }

    function testOneMoreRoundMayOpen() public {
        close(2);
        expectEvent();
        emit ITrainingLedger.EndAnnounced(2, uint40(block.timestamp + 100));
        announce();
        vm.assertEq(ledger.runState().endsAfter, 2);
        vm.assertEq(ledger.runState().endsAt, block.timestamp + 100);
        post();
        vm.assertEq(latest(), 2);
        submitAll(2);
        post();
        vm.assertEq(latest(), 2);
        pass(200);
        vm.assertFalse(ledger.hasEnded());
        ledger.finalize();
        vm.assertTrue(ledger.hasEnded());
    }

    function testNoRoundOpensOnceTheTimeHasCome() public {
        close(2);
        announce();
        pass(100);
        expectError(abi.encodeWithSelector(ITrainingLedger.RoundInProgress.selector, 1));
        ledger.openRound();
        pass(10);
        ledger.voidRound(1);
        vm.assertEq(latest(), 1);
        expectError(abi.encodeWithSelector(ITrainingLedger.RunEnded.selector));
        ledger.openRound();
    }

    function testTheLastSecondBeforeTheEnd() public {
        fund(POOL);
        join(2);
        announce();
        pass(99);
        ledger.openRound();
        vm.assertEq(latest(), 1);
    }

    function testRefusesAnyoneButTheOperator(address caller) public {
        vm.assume(caller != OPERATOR);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotOperator.selector, caller));
        vm.prank(caller);
        ledger.announceEnd();
    }

    function testRefusesTwice() public {
        announce();
        expectError(abi.encodeWithSelector(ITrainingLedger.EndAlreadyAnnounced.selector));
        announce();
    }
}
