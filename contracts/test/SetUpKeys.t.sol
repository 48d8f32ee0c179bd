// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskedTest.sol";

contract SetUpKeysTest is MaskedTest {
    function closed() private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISecureAggregation.KeysClosed.selector, 1);
    }

    function verifyRing(uint16 members, uint16 joined, bool isComplete) private view {
        KeyRing memory ring = masks.keyRingOf(latest());
        vm.assertEq(ring.members, members);
        vm.assertEq(ring.joined, joined);
        vm.assertEq(ring.isComplete, isComplete);
        vm.assertEq(ring.closeAt, round().since + KEYS_SECONDS);
    }

    // ------------------------------------------------------------------ joining

    /// forge-config: default.fuzz.runs = 32
    function testFoldsEverySetUpIntoTheRing(bytes32 salt) public {
        openMasked(4);
        bytes32 ring;
        for (uint16 i; i < 4; ++i) {
            SetUp memory one = setUpOf(i);
            one.sharesHash = keccak256(abi.encode(salt, i));
            vm.expectEmit(address(masks));
            emit ISecureAggregation.KeysSetUp(
                1, worker(i), i, one.roundKey, one.keyCommitment, one.maskCommitment, one.sharesHash
            );
            setUpAs(worker(i), 1, one);
            ring = linked(ring, setUpDigest(one));
            vm.assertEq(masks.ringDigestOf(1), ring);
            verifyRing(i + 1, i + 1, i == 3);
        }
    }

    function testRefusesWhoIsNotRegistered() public {
        openMasked(3);
        bytes memory reason = abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, STRANGER);
        refuseSetUp(reason, STRANGER, 1, setUpOf(0));
        admit(3);
        identify(3);
        refuseSetUp(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, worker(3)), 3);
        vm.prank(worker(0));
        ledger.leave();
        refuseSetUp(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, worker(0)), 0);
    }

    function testRefusesWhoIsBarredFromTheRound() public {
        openMasked(4);
        suspend(3);
        setUpKeys(3);
        setUpAll(3);
        submitAll(3);
        postLatest(AGGREGATOR, 4, 3);
        refuseSetUp(abi.encodeWithSelector(ITrainingLedger.ParticipantSuspendedFrom.selector, worker(3), 2), 3);
        setUpKeys(0);
    }

    /// forge-config: default.fuzz.runs = 32
    function testRefusesARoundThatIsNotOpen(uint32 number) public {
        vm.assume(number != 1 && number != NEVER);
        openMasked(3);
        refuseSetUp(
            abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None),
            worker(0),
            number,
            setUpOf(0)
        );
        closeLatest(3, 3);
        refuseSetUp(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Closed), 0);
    }

    function testRefusesASecondSetUp() public {
        openMasked(3);
        setUpKeys(0);
        refuseSetUp(abi.encodeWithSelector(ISecureAggregation.KeysAlreadySetUp.selector, 1, worker(0)), 0);
    }

    function testRefusesWhoHasNoIdentityKey() public {
        open(3);
        refuseSetUp(abi.encodeWithSelector(ISecureAggregation.NoIdentityKey.selector, worker(0)), 0);
        identify(0);
        setUpKeys(0);
    }

    function testRefusesAKeyOfLowOrder() public {
        openMasked(3);
        SetUp memory one = setUpOf(0);
        one.roundKey = bytes32(uint256(1) << 248);
        refuseSetUp(abi.encodeWithSelector(ISecureAggregation.KeyOfLowOrder.selector, one.roundKey), worker(0), 1, one);
        one.roundKey = bytes32(uint256(2) << 248);
        setUpAs(worker(0), 1, one);
    }

    // ------------------------------------------------------------------ until when

    /// forge-config: default.fuzz.runs = 32
    function testTheQuarterOnBothSides(uint256 later) public {
        openMasked(3);
        pass(KEYS_SECONDS - 1);
        setUpKeys(0);
        pass(bound(later, 1, 74));
        refuseSetUp(closed(), 1);
    }

    function testNobodyCameInTime() public {
        openMasked(3);
        pass(KEYS_SECONDS);
        refuseSetUp(closed(), 0);
        pass(75);
        ledger.closeRound(1);
        vm.assertEq(uint256(ledger.roundOf(1).status), uint256(RoundStatus.Void));
        vm.assertEq(latest(), 2);
        setUpKeys(0);
    }

    function testCompleteIsCompleteAtOnce() public {
        openMasked(4);
        register4And(4);
        setUpAll(3);
        verifyRing(3, 3, false);
        setUpKeys(3);
        setUpKeys(4);
        verifyRing(5, 5, true);
        refuseSetUp(closed(), 4);
        submitAll(5);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Closed));
    }

    function register4And(uint256 i) private {
        admit(i);
        register(i);
        identify(i);
    }

    /// @notice Somebody who missed the last round may join, but is not waited for.
    function testWhoIsNotExpectedIsNotWaitedFor() public {
        openMasked(5);
        closeLatest(4, 4);
        postLatest(AGGREGATOR, 4, 4);
        setUpKeys(4);
        verifyRing(1, 0, false);
        setUpAll(3);
        verifyRing(4, 3, false);
        setUpKeys(3);
        verifyRing(5, 4, true);
    }

    // ------------------------------------------------------------------ nobody is locked out by others

    /// @notice Who leaves after its set-up does not make room for one less.
    function testALeaverDoesNotCompleteTheRing() public {
        openMasked(5);
        setUpKeys(0);
        setUpKeys(1);
        verifyRing(2, 2, false);
        vm.prank(worker(0));
        ledger.leave();
        verifyRing(2, 1, false);
        setUpKeys(2);
        setUpKeys(3);
        verifyRing(4, 3, false);
        setUpKeys(4);
        verifyRing(5, 4, true);
    }

    function testWhoLeftAndCameBackIsNotCountedTwice() public {
        openMasked(4);
        setUpKeys(0);
        vm.prank(worker(0));
        ledger.leave();
        register(0);
        refuseSetUp(abi.encodeWithSelector(ISecureAggregation.KeysAlreadySetUp.selector, 1, worker(0)), 0);
        setUpKeys(1);
        setUpKeys(2);
        setUpKeys(3);
        // Not complete, since the ring does not know that it is back: time alone ends the set-up.
        verifyRing(4, 3, false);
        pass(KEYS_SECONDS);
        submitAll(4);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Closed));
    }

    function testASuspendedOneIsNotCounted() public {
        openMasked(5);
        setUpKeys(0);
        suspend(0);
        verifyRing(1, 0, false);
        suspend(1);
        setUpKeys(1);
        verifyRing(2, 0, false);
        setUpKeys(2);
        setUpKeys(3);
        verifyRing(4, 2, false);
        setUpKeys(4);
        verifyRing(5, 3, true);
    }

    /// @notice Where the round expects fewer than the quorum, others are waited for.
    function testTheQuorumIsWaitedFor() public {
        openMasked(6);
        closeLatest(3, 3);
        postLatest(AGGREGATOR, 3, 3);
        vm.prank(worker(2));
        ledger.leave();
        vm.assertEq(round().remaining, 2);
        setUpKeys(0);
        setUpKeys(1);
        verifyRing(2, 2, false);
        setUpKeys(3);
        verifyRing(3, 2, true);
    }

    /// @notice Where the round expects nobody, everybody has the whole time to join.
    /// @notice With more than 64 identity keys nobody joins before the graph is drawn.
    function testTheGraphIsDrawnFirst() public {
        openMasked(65);
        refuseSetUp(abi.encodeWithSelector(ISecureAggregation.GraphNotDrawn.selector, 1), 7);
        draw();
        setUpAll(65);
        verifyRing(65, 65, true);
    }

    function testWhoCameLaterIsNotInTheGraph() public {
        open(67);
        for (uint256 i; i < 66; ++i) {
            identify(66 - i);
        }
        pass(13);
        draw();
        vm.prank(worker(0));
        masks.setIdentityKey(identityKeyOf(0));
        refuseSetUp(abi.encodeWithSelector(ISecureAggregation.NotInGraph.selector, worker(0)), 0);
        setUpKeys(1);
    }

    /// @notice A round in which somebody has joined stays one without a graph.
    function testAnOpenRingTakesMoreThan64() public {
        open(66);
        for (uint256 i; i < 64; ++i) {
            identify(i);
        }
        setUpKeys(0);
        identify(64);
        identify(65);
        vm.roll(block.number + 1);
        refuseDraw(abi.encodeWithSelector(ISecureAggregation.NoGraphDue.selector, 1), 1);
        for (uint256 i = 1; i < 66; ++i) {
            setUpKeys(i);
        }
        verifyRing(66, 66, true);
    }

    function testWhereNobodyIsExpectedNobodyIsLockedOut() public {
        openMasked(6);
        closeLatest(3, 3);
        postLatest(AGGREGATOR, 3, 3);
        for (uint256 i; i < 3; ++i) {
            vm.prank(worker(i));
            ledger.leave();
        }
        vm.assertEq(round().remaining, 0);
        for (uint256 i = 3; i < 6; ++i) {
            setUpKeys(i);
            verifyRing(uint16(i - 2), 0, false);
        }
        pass(KEYS_SECONDS);
        for (uint256 i = 3; i < 6; ++i) {
            submit(i);
        }
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Closed));
    }
}
