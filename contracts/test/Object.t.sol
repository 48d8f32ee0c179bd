// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract ObjectTest is LedgerTest {
    /// @notice Sealed roots of round 1, by index.
    bytes32[] private seals;

    /// @notice Round 1, submitted by `count` participants in order and posted.
    function posted(uint256 count) private {
        open(count);
        for (uint256 i; i < count; ++i) {
            seals.push(sealedRoot(i));
        }
        submitAll(count);
        bytes32 digest = ledger.digestOf(1);
        vm.prank(AGGREGATOR);
        ledger.post(1, digest, new Exclusion[](0), sums(count > 8 ? 3 : 1), 0, 0, modelRoot(1));
    }

    function objectAs(address caller, uint256 i) private {
        vm.prank(caller);
        ledger.object(1, modelRoot(1), uint16(i), weightOf(i), seals[i]);
    }

    function objectAs(uint256 i) private {
        objectAs(worker(i), i);
    }

    function refuse(bytes memory reason, address caller, uint256 i) private {
        expectError(reason);
        objectAs(caller, i);
    }

    function isPosted() private view returns (bool) {
        return ledger.roundOf(1).status == RoundStatus.Posted;
    }

    // ------------------------------------------------------------------ what it does

    function testCountsTheSubmission() public {
        posted(3);
        expectEvent();
        emit ITrainingLedger.PostingObjected(1, 0, worker(1), 1);
        objectAs(1);
        vm.assertEq(ledger.objectionsTo(1), 1);
        vm.assertTrue(ledger.hasObjected(1, 1));
        vm.assertFalse(ledger.hasObjected(1, 0));
        vm.assertTrue(isPosted());
    }

    function testMoreThanHalfTakeThePostingDownAndNoBond() public {
        posted(3);
        objectAs(2);
        expectEvent();
        emit ITrainingLedger.PostingObjected(1, 0, worker(0), 2);
        expectEvent();
        emit ITrainingLedger.PostingFell(1, 0, AGGREGATOR, address(0), FallReason.Objections, 0, 0);
        expectEvent();
        emit ITrainingLedger.RoundVoided(2, VoidReason.BaseFell);
        objectAs(0);

        Round memory fallen = ledger.roundOf(1);
        vm.assertEq(uint256(fallen.status), uint256(RoundStatus.Closed));
        vm.assertEq(fallen.postingNumber, 1);
        vm.assertEq(fallen.since, block.timestamp);
        Account memory account = ledger.accountOf(AGGREGATOR);
        vm.assertEq(account.lockedBondWei, 0);
        vm.assertEq(account.freeBondWei, 100 * 10_000);
        vm.assertEq(ledger.bonusOf(1), 0);
        vm.assertTrue(ledger.isBarred(1, AGGREGATOR));
        vm.assertEq(ledger.objectionsTo(1), 0);
        vm.assertFalse(ledger.hasObjected(1, 0));
        vm.assertEq(ledger.accountOf(worker(0)).creditWei, 0);
    }

    function testHalfIsNotEnough(uint256 count) public {
        count = bound(count, 2, 16);
        posted(count);
        for (uint256 i; i < count / 2; ++i) {
            objectAs(i);
        }
        vm.assertTrue(isPosted());
        objectAs(count - 1);
        vm.assertFalse(isPosted());
    }

    function testOneSubmitterDecidesAlone() public {
        Policy memory policy = rules();
        policy.quorum = 1;
        deploy(policy, address(0));
        posted(1);
        objectAs(0);
        vm.assertFalse(isPosted());
    }

    function testTheExcludedCountToo() public {
        open(2);
        seals.push(sealedRoot(0));
        seals.push(sealedRoot(1));
        submitAll(2);
        pass(20);
        post(AGGREGATOR, only(excluding(1, 1, 3)));
        objectAs(1);
        vm.assertTrue(isPosted());
        objectAs(0);
        vm.assertFalse(isPosted());
    }

    function testTheNextPostingStartsFromNothing() public {
        posted(3);
        objectAs(0);
        objectAs(1);
        bond(STRANGER, 10_000);
        bytes32 digest = ledger.digestOf(1);
        vm.prank(STRANGER);
        ledger.post(1, digest, new Exclusion[](0), sums(1), 0, 0, modelRoot(1));
        vm.assertEq(ledger.objectionsTo(1), 0);
        vm.assertFalse(ledger.hasObjected(1, 0));
        expectEvent();
        emit ITrainingLedger.PostingObjected(1, 1, worker(0), 1);
        objectAs(0);
        vm.assertTrue(isPosted());
        objectAs(2);
        vm.assertFalse(isPosted());
        vm.assertEq(ledger.roundOf(1).postingNumber, 2);
        vm.assertEq(ledger.accountOf(STRANGER).freeBondWei, 10_000);
    }

    // ------------------------------------------------------------------ who

    function testOneThatLeftMayStillObject() public {
        posted(3);
        vm.prank(worker(1));
        ledger.leave();
        objectAs(1);
        vm.assertEq(ledger.objectionsTo(1), 1);
    }

    function testOneThatIsSuspendedMayStillObject() public {
        posted(3);
        suspend(1);
        objectAs(1);
        vm.assertEq(ledger.objectionsTo(1), 1);
    }

    function testTheKeyInForceSigns() public {
        posted(3);
        address key = address(0x9000);
        vm.prank(worker(1));
        ledger.requestSignerRotation(key);
        // Round 1 must still be posted when the key is due.
        pass(199);
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 1), key, 1);
        objectAs(1);
        vm.assertTrue(ledger.hasObjected(1, 1));
    }

    function testARotatedKeySignsAndTheOldOneDoesNot() public {
        Policy memory policy = rules();
        policy.unbondingSeconds = 100;
        deploy(policy, address(0));
        posted(3);
        address key = address(0x9000);
        vm.prank(worker(1));
        ledger.requestSignerRotation(key);
        pass(100);
        vm.prank(key);
        ledger.rotateSigner(worker(1));
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 1), worker(1), 1);
        expectEvent();
        emit ITrainingLedger.PostingObjected(1, 0, worker(1), 1);
        objectAs(key, 1);
    }

    function testRefusesAnyoneElse(address caller) public {
        vm.assume(caller != worker(1));
        posted(3);
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 1), caller, 1);
    }

    function testRefusesAnotherLeaf(uint256 field, uint16 index) public {
        vm.assume(index != 1);
        field = field % 3;
        posted(3);
        uint16 place = field == 0 ? index : 1;
        uint32 weight = field == 1 ? weightOf(1) + 1 : weightOf(1);
        bytes32 root = field == 2 ? bytes32("other") : seals[1];
        expectError(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, place));
        vm.prank(worker(1));
        ledger.object(1, modelRoot(1), place, weight, root);
    }

    function testRefusesTwice() public {
        posted(3);
        objectAs(1);
        refuse(abi.encodeWithSelector(ITrainingLedger.AlreadyObjected.selector, 1, worker(1)), worker(1), 1);
    }

    // ------------------------------------------------------------------ which posting, and when

    function testRefusesAnotherModel(bytes32 root) public {
        vm.assume(root != modelRoot(1));
        posted(3);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongModel.selector, root, modelRoot(1)));
        vm.prank(worker(1));
        ledger.object(1, root, 1, weightOf(1), seals[1]);
    }

    function testTheWindowOnBothSides() public {
        posted(3);
        pass(200);
        uint40 end = uint40(block.timestamp);
        refuse(abi.encodeWithSelector(ITrainingLedger.ChallengeWindowClosed.selector, 1, end), worker(1), 1);
        vm.warp(block.timestamp - 1);
        objectAs(1);
    }

    function testRefusesARoundThatIsNotPosted(uint32 number) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        ledger.object(number, 0, 0, 0, 0);
        posted(3);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 2, RoundStatus.Open));
        ledger.object(2, 0, 0, 0, 0);
        objectAs(0);
        objectAs(1);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Closed), worker(2), 2);
    }
}
