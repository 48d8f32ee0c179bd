// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract FinalizeTest is LedgerTest {
    function testReleasesTheBondAndPaysThePoster() public {
        close(3);
        post();
        pass(200);
        expectEvent();
        emit ITrainingLedger.RoundFinalized(1, 1000, 100, 1);
        vm.prank(STRANGER);
        ledger.finalize();
        Account memory account = ledger.accountOf(AGGREGATOR);
        vm.assertEq(account.lockedBondWei, 0);
        vm.assertEq(account.freeBondWei, 100 * 10_000);
        vm.assertEq(account.creditWei, 100);
        vm.assertEq(uint256(ledger.roundOf(1).status), uint256(RoundStatus.Final));
        vm.assertEq(ledger.roundOf(1).since, block.timestamp);
        vm.assertEq(ledger.runState().settled, 1);
        vm.assertEq(ledger.runState().poolWei, POOL - 2 * 1100 + 1);
    }

    function testTheDustOfDeclaredWeights() public {
        Policy memory policy = rules();
        policy.rewardSplit = RewardSplit.DeclaredWeight;
        deploy(policy, address(0));
        close(3);
        post();
        pass(200);
        expectEvent();
        emit ITrainingLedger.RoundFinalized(1, 1000, 100, 1000 % 6);
        ledger.finalize();
    }

    function testSettlesInOrderAndStepsOverVoidRounds() public {
        close(2);
        post();
        pass(100);
        ledger.closeRound(2);
        submitAll(2);
        post();
        pass(100);
        expectEvent();
        emit ITrainingLedger.RoundFinalized(1, 1000, 100, 0);
        expectEvent();
        emit ITrainingLedger.VoidRoundSettled(2);
        ledger.finalize();
        vm.assertEq(ledger.runState().settled, 2);
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingToFinalize.selector, 2));
        ledger.finalize();
        pass(100);
        ledger.finalize();
        vm.assertEq(ledger.runState().settled, 3);
    }

    function testRefusesBeforeTheWindowIsOver(uint256 wait) public {
        close(2);
        post();
        pass(bound(wait, 0, 199));
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingToFinalize.selector, 0));
        ledger.finalize();
    }

    function testRefusesWhereNoRoundIs() public {
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingToFinalize.selector, 0));
        ledger.finalize();
    }
}
