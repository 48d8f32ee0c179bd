// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskedTest.sol";

/// @notice What the ledger asks its masks: before a submission, before a departure and before a posting.
contract MaskHooksTest is MaskedTest {
    function refuseSubmission(bytes memory reason, uint256 i) private {
        uint32 number = latest();
        bytes32 base = baseRoot();
        bytes32 root = sealedRoot(i);
        vm.prank(worker(i));
        expectError(reason);
        ledger.submit(number, base, root, weightOf(i));
    }

    function refusePosting(bytes memory reason, address poster, Exclusion[] memory exclusions, uint256 count) private {
        bytes32 digest = ledger.digestOf(1);
        bytes32[] memory roots = sums(count);
        vm.prank(poster);
        expectError(reason);
        ledger.post(1, digest, exclusions, roots, 0, 0, "model");
    }

    // ------------------------------------------------------------------ who asks

    /// forge-config: default.fuzz.runs = 16
    function testNobodyButTheLedgerChangesAnything(address caller) public {
        vm.assume(caller != address(ledger));
        openMasked(3);
        setUpAll(3);
        bytes memory reason = abi.encodeWithSelector(ISecureAggregation.NotTheLedger.selector, caller);
        vm.startPrank(caller);
        expectError(reason);
        masks.checkMember(1, worker(0));
        expectError(reason);
        masks.countOut(1, worker(0));
    }

    // ------------------------------------------------------------------ submissions

    function testOnlyMembersSubmit() public {
        openMasked(4);
        setUpAll(3);
        pass(KEYS_SECONDS);
        refuseSubmission(abi.encodeWithSelector(ISecureAggregation.NoKeysInRound.selector, 1, worker(3)), 3);
        submitAll(3);
        pass(75);
        ledger.closeRound(1);
        postLatest(AGGREGATOR, 3, 3);
        refuseSubmission(abi.encodeWithSelector(ISecureAggregation.NoKeysInRound.selector, 2, worker(0)), 0);
    }

    function testSubmissionsWaitForTheKeys() public {
        openMasked(4);
        setUpAll(3);
        uint256 closeAt = block.timestamp + KEYS_SECONDS;
        pass(KEYS_SECONDS - 1);
        refuseSubmission(abi.encodeWithSelector(ISecureAggregation.KeysNotClosed.selector, 1, closeAt), 0);
        uint256 snapshot = vm.snapshotState();
        setUpKeys(3);
        submit(0);
        vm.revertToState(snapshot);
        pass(1);
        submit(0);
    }

    // ------------------------------------------------------------------ departures

    function testWhoLeavesIsCountedOutOnce() public {
        openMasked(4);
        setUpAll(2);
        suspend(1);
        vm.assertEq(masks.keyRingOf(1).joined, 1);
        vm.prank(worker(1));
        ledger.leave();
        vm.assertEq(masks.keyRingOf(1).joined, 1);
        vm.prank(worker(2));
        ledger.leave();
        vm.assertEq(masks.keyRingOf(1).joined, 1);
        vm.assertEq(masks.keyRingOf(1).members, 2);
    }

    function testWhoLeavesWithoutKeysChangesNothing() public {
        openMasked(4);
        closeLatest(4, 4);
        postLatest(AGGREGATOR, 4, 4);
        setUpKeys(0);
        vm.prank(worker(1));
        ledger.leave();
        vm.assertEq(masks.keyRingOf(2).joined, 1);
        vm.assertEq(masks.keyRingOf(1).joined, 4);
    }

    // ------------------------------------------------------------------ postings

    function testAPostingNeedsFixedSurvivorsAndSeeds() public {
        closeMasked(4, 4);
        bond(STRANGER, 10_000);
        bytes memory notFixed = abi.encodeWithSelector(ISecureAggregation.SurvivorsNotFixed.selector, 1);
        refusePosting(notFixed, AGGREGATOR, nobody, 5);
        fix(AGGREGATOR, nobody, none);
        refusePosting(abi.encodeWithSelector(ISecureAggregation.NoSeeds.selector, 1, AGGREGATOR), AGGREGATOR, nobody, 5);
        publish(STRANGER, seedsOf(4, 4, nobody));
        refusePosting(abi.encodeWithSelector(ISecureAggregation.NoSeeds.selector, 1, AGGREGATOR), AGGREGATOR, nobody, 5);
        pass(50);
        postRoots(STRANGER, nobody, sums(5), "model");
        vm.assertEq(ledger.runState().aggregator, STRANGER);
    }

    /// @notice A posting leaves out who was left out, with the same reason, and nobody else.
    function testAPostingExcludesWhoIsFixed() public {
        closeMasked(5, 5);
        pass(20);
        Exclusion[] memory exclusions = only(excluding(2, 2, 1));
        fix(AGGREGATOR, exclusions, none);
        publish(AGGREGATOR, seedsOf(5, 5, exclusions));
        bytes32 expected = masks.survivorsOf(1).exclusionsHash;
        Exclusion[][3] memory others = [nobody, only(excluding(3, 3, 1)), only(excluding(2, 2, 3))];
        for (uint256 i; i < 3; ++i) {
            bytes32 given = keccak256(abi.encode(others[i]));
            refusePosting(
                abi.encodeWithSelector(ISecureAggregation.WrongDeparted.selector, given, expected),
                AGGREGATOR,
                others[i],
                10
            );
        }
        postRoots(AGGREGATOR, exclusions, sums(8 + 3), "model");
        vm.assertTrue(ledger.isExcluded(1, 2));
        vm.assertEq(ledger.postingOf(1).included, 4);
    }

    /// forge-config: default.fuzz.runs = 32
    /// @notice The terms, and the sums of submissions and terms.
    function testAPostingListsTermsAndSums(uint256 submitting, uint256 given) public {
        submitting = bound(submitting, 6, 9);
        closeMasked(9, submitting);
        fix(AGGREGATOR, nobody, people(submitting, 9));
        publish(AGGREGATOR, seedsOf(9, submitting, nobody));
        uint256 terms = termCount(9, submitting);
        uint256 expected = terms + listLength(submitting + terms);
        given = bound(given, 0, 60);
        if (given == expected) given += 1;
        bytes memory reason = abi.encodeWithSelector(ITrainingLedger.WrongPartialSumCount.selector, given, expected);
        refusePosting(reason, AGGREGATOR, nobody, given);
        reason = abi.encodeWithSelector(ITrainingLedger.WrongPartialSumCount.selector, expected - 1, expected);
        refusePosting(reason, AGGREGATOR, nobody, expected - 1);
        postRoots(AGGREGATOR, nobody, sums(expected), "model");
    }

    // ------------------------------------------------------------------ reading

    function testSeatOf() public {
        openMasked(3);
        setUpAll(3);
        submit(1);
        (address participant, uint32 lastSeen, uint32 barredFrom) = masked().seatOf(worker(1));
        vm.assertEq(participant, worker(1));
        vm.assertEq(lastSeen, 1);
        vm.assertEq(barredFrom, NEVER);
        vm.assertEq(masks.ledger(), address(ledger));
    }
}
