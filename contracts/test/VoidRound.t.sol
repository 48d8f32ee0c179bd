// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract VoidRoundTest is LedgerTest {
    function testVoidsWhatNobodyPostedAndGoesOn() public {
        close(3);
        pass(110);
        expectEvent();
        emit ITrainingLedger.RoundVoided(1, VoidReason.NotPosted);
        expectEvent();
        emit ITrainingLedger.RoundOpened(2, 0, "genesis", 1, uint40(block.timestamp + 100), 3);
        vm.prank(STRANGER);
        ledger.voidRound(1);
        vm.assertEq(uint256(ledger.roundOf(1).status), uint256(RoundStatus.Void));
        vm.assertEq(ledger.roundOf(1).since, block.timestamp);
        vm.assertEq(ledger.runState().poolWei, POOL - 1100);
        vm.assertEq(ledger.runState().tip, 0);
        vm.assertEq(round().lastClosed, 1);
    }

    function testMakesRoomByFinalizingWhatIsDue() public {
        Policy memory policy = rules();
        policy.maxUnfinalRounds = 2;
        deploy(policy, address(0));
        close(2);
        post();
        submitAll(2);
        pass(200);
        expectEvent();
        emit ITrainingLedger.RoundFinalized(1, 1000, 100, 0);
        ledger.voidRound(2);
        vm.assertEq(latest(), 3);
        vm.assertEq(ledger.runState().settled, 1);
    }

    function testMakesRoomByPassingAVoidRound() public {
        Policy memory policy = rules();
        policy.maxUnfinalRounds = 1;
        deploy(policy, address(0));
        close(2);
        pass(110);
        expectEvent();
        emit ITrainingLedger.VoidRoundSettled(1);
        ledger.voidRound(1);
        vm.assertEq(latest(), 2);
        vm.assertEq(ledger.runState().settled, 1);
    }

    function testRefusesBeforeTheDeadline(uint256 wait) public {
        close(2);
        pass(bound(wait, 0, 109));
        expectError(abi.encodeWithSelector(ITrainingLedger.DeadlineNotPassed.selector, 1, START + 110));
        ledger.voidRound(1);
    }

    function testRefusesARoundThatIsNotClosed(uint32 number) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        ledger.voidRound(number);
        open(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Open));
        ledger.voidRound(1);
    }
}
