// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract SubmitTest is LedgerTest {
    function send(uint256 i, uint32 number, bytes32 base, uint32 weight) private {
        vm.prank(worker(i));
        ledger.submit(number, base, "sealed", weight);
    }

    function testFoldsTheLeafIntoTheDigest(bytes32 root, uint32 weight) public {
        weight = uint32(bound(weight, 1, 100));
        open(3);
        bytes32 expected = leaf(root, weight, worker(1));
        bytes32 digest = sha256(abi.encodePacked(bytes1(0x07), startDigest(1, "genesis"), expected));
        expectEvent();
        emit ITrainingLedger.UpdateSubmitted(1, worker(1), 0, weight, root);
        vm.prank(worker(1));
        ledger.submit(1, "genesis", root, weight);
        vm.assertEq(ledger.leafOf(1, 0), expected);
        vm.assertEq(ledger.digestOf(1), digest);
        vm.assertEq(round().totalWeight, weight);
        vm.assertEq(round().submissions, 1);
        vm.assertEq(round().remaining, 2);
        vm.assertEq(round().returning, 1);
        vm.assertEq(ledger.participantOf(worker(1)).lastSeen, 1);
    }

    function testAcceptsEqualSealedRoots() public {
        open(3);
        send(0, 1, "genesis", 1);
        send(1, 1, "genesis", 1);
        vm.assertEq(round().submissions, 2);
        vm.assertTrue(ledger.leafOf(1, 0) != ledger.leafOf(1, 1));
    }

    function testTheExpectedSetClosesTheRound(bytes32 randao) public {
        vm.prevrandao(randao);
        open(2);
        submit(0);
        bytes32 last = leaf(sealedRoot(1), weightOf(1), worker(1));
        bytes32 digest = sha256(abi.encodePacked(bytes1(0x07), ledger.digestOf(1), last));
        expectEvent();
        emit ITrainingLedger.RoundClosed(1, digest, sha256(abi.encodePacked(randao, digest)), 2, 3, 2);
        submit(1);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Closed));
        vm.assertEq(ledger.runState().lastClosed, 1);
    }

    function testCloseAtClosesTheRound() public {
        Policy memory policy = rules();
        policy.closeAt = 3;
        deploy(policy, address(0));
        open(5);
        submitAll(3);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Closed));
        vm.assertEq(round().remaining, 2);
        vm.assertEq(round().returning, 3);
    }

    function testOneThatWasNotExpectedReturns() public {
        open(3);
        submitAll(2);
        pass(100);
        ledger.closeRound(1);
        post();
        vm.assertEq(round().remaining, 2);
        submit(2);
        vm.assertEq(round().remaining, 2);
        vm.assertEq(round().returning, 1);
    }

    function testRefusesTheUnregistered(address caller) public {
        vm.assume(caller != worker(0) && caller != worker(1));
        open(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, caller));
        vm.prank(caller);
        ledger.submit(1, "genesis", "sealed", 1);
    }

    function testRefusesTheSuspended() public {
        open(4);
        suspend(3);
        submitAll(3);
        post();
        bytes32 base = baseRoot();
        expectError(abi.encodeWithSelector(ITrainingLedger.ParticipantSuspendedFrom.selector, worker(3), 2));
        send(3, 2, base, 1);
    }

    function testRefusesARoundThatIsNotOpen(uint32 number) public {
        open(2);
        vm.assume(number > 1 && number < NEVER);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        send(0, number, "genesis", 1);
        submitAll(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Closed));
        send(0, 1, "genesis", 1);
    }

    function testTheDeadlineOnBothSides() public {
        open(3);
        pass(99);
        submit(0);
        pass(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.DeadlinePassed.selector, 1, START + 100));
        send(1, 1, "genesis", 1);
    }

    function testRefusesTwice() public {
        open(2);
        submit(0);
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadySubmitted.selector, 1, worker(0)));
        send(0, 1, "genesis", 1);
    }

    function testRefusesAnotherBase(bytes32 base) public {
        vm.assume(base != "genesis");
        open(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongBaseModel.selector, base, bytes32("genesis")));
        send(0, 1, base, 1);
    }

    function testWeightsAtTheirBounds(uint32 weight) public {
        vm.assume(weight > 101);
        open(3);
        uint32[3] memory wrong = [0, 101, weight];
        for (uint256 i; i < 3; ++i) {
            expectError(abi.encodeWithSelector(ITrainingLedger.WeightOutOfBounds.selector, wrong[i], 100));
            send(0, 1, "genesis", wrong[i]);
        }
        send(0, 1, "genesis", 1);
        send(1, 1, "genesis", 100);
    }

    function testTheTotalWeightAtItsBound() public {
        Policy memory policy = rules();
        policy.maxTotalWeight = 150;
        deploy(policy, address(0));
        open(4);
        send(0, 1, "genesis", 100);
        expectError(abi.encodeWithSelector(ITrainingLedger.TotalWeightExceeded.selector, 151, 150));
        send(1, 1, "genesis", 51);
        send(1, 1, "genesis", 50);
        vm.assertEq(round().totalWeight, 150);
    }
}
