// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract CloseRoundTest is LedgerTest {
    function testClosesWithTheQuorum() public {
        open(3);
        submitAll(2);
        pass(100);
        bytes32 digest = ledger.digestOf(1);
        bytes32 seed = sha256(abi.encodePacked(block.prevrandao, digest));
        expectEvent();
        emit ITrainingLedger.RoundClosed(1, digest, seed, 2, 3, 2);
        vm.prank(STRANGER);
        ledger.closeRound(1);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Closed));
        vm.assertEq(round().since, block.timestamp);
        vm.assertEq(round().returning, 2);
    }

    function testVoidsBelowTheQuorumAndOpensTheNextOnTheSameBase() public {
        open(3);
        submit(0);
        pass(100);
        expectEvent();
        emit ITrainingLedger.RoundVoided(1, VoidReason.BelowQuorum);
        expectEvent();
        emit ITrainingLedger.RoundOpened(2, 0, "genesis", 1, uint40(block.timestamp + 100), 3);
        ledger.closeRound(1);
        vm.assertEq(ledger.roundOf(1).returning, 3);
        vm.assertEq(ledger.roundOf(1).remaining, 0);
        vm.assertEq(ledger.runState().lastClosed, 0);
        vm.assertEq(ledger.runState().poolWei, POOL - 1100);
        submitAll(3);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Closed));
    }

    function testVoidsAndOpensNothingWhereTooFewAreLeft() public {
        open(2);
        vm.prank(worker(1));
        ledger.leave();
        pass(100);
        ledger.closeRound(1);
        vm.assertEq(latest(), 1);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Void));
        vm.assertEq(ledger.runState().poolWei, POOL);
        register(1);
        ledger.openRound();
        vm.assertEq(round().remaining, 2);
    }

    function testMakesRoomByFinalizingWhatIsDue() public {
        Policy memory policy = rules();
        policy.maxUnfinalRounds = 2;
        deploy(policy, address(0));
        close(2);
        post();
        pass(200);
        expectEvent();
        emit ITrainingLedger.RoundFinalized(1, 1000, 100, 0);
        ledger.closeRound(2);
        vm.assertEq(latest(), 3);
        vm.assertEq(ledger.runState().settled, 1);
    }

    function testMakesRoomByPassingAVoidRound() public {
        Policy memory policy = rules();
        policy.maxUnfinalRounds = 1;
        deploy(policy, address(0));
        open(2);
        pass(100);
        expectEvent();
        emit ITrainingLedger.VoidRoundSettled(1);
        ledger.closeRound(1);
        vm.assertEq(latest(), 2);
        vm.assertEq(ledger.runState().settled, 1);
    }

    function testRefusesBeforeTheDeadline(uint256 wait) public {
        open(3);
        pass(bound(wait, 0, 99));
        expectError(abi.encodeWithSelector(ITrainingLedger.DeadlineNotPassed.selector, 1, START + 100));
        ledger.closeRound(1);
    }

    function testRefusesARoundThatIsNotOpen(uint32 number) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        ledger.closeRound(number);
        close(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Closed));
        ledger.closeRound(1);
    }
}
