// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskedTest.sol";

contract FixSurvivorsTest is MaskedTest {
    function turn(uint256 openToAllAt, address sender) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ITrainingLedger.NotYourTurn.selector, sender, openToAllAt);
    }

    function tooFew(uint256 survivors, uint256 needed) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISecureAggregation.TooFewSurvivors.selector, survivors, needed);
    }

    function notAbsent(address participant) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISecureAggregation.NotAbsent.selector, participant);
    }

    // ------------------------------------------------------------------ what it fixes

    function testFixesThemForEver() public {
        closeMasked(6, 5);
        pass(20);
        Exclusion[] memory exclusions = only(excluding(3, 3, 1));
        vm.expectEmit(address(masks));
        emit ISecureAggregation.SurvivorsFixed(1, AGGREGATOR, 4, 4 + 2 * 4, exclusions, people(5, 6));
        fix(AGGREGATOR, exclusions, people(5, 6));

        Survivors memory stayed = masks.survivorsOf(1);
        vm.assertEq(stayed.exclusionsHash, keccak256(abi.encode(exclusions)));
        vm.assertEq(stayed.absenteesHash, keccak256(abi.encode(people(5, 6))));
        vm.assertEq(stayed.members, 6);
        vm.assertEq(stayed.submissions, 5);
        vm.assertEq(stayed.survivors, 4);
        vm.assertEq(stayed.terms, 12);
        bytes memory fixed_ = abi.encodeWithSelector(ISecureAggregation.SurvivorsAlreadyFixed.selector, 1);
        refuseFix(fixed_, AGGREGATOR, exclusions, people(5, 6));
        refuseFix(fixed_, AGGREGATOR, nobody, people(5, 6));
    }

    /// @notice Whatever becomes of postings, nobody ever fixes another set.
    function testTheyOutliveAFallenPosting() public {
        closeMasked(4, 4);
        bytes16[] memory seeds = seedsOf(4, 4, nobody);
        fix(AGGREGATOR, nobody, none);
        publish(AGGREGATOR, seeds);
        postRoots(AGGREGATOR, nobody, sums(4 + 1), "model");
        for (uint16 i; i < 3; ++i) {
            bytes32 root = sealedRootIn(1, i);
            vm.prank(worker(i));
            ledger.object(1, "model", i, weightOf(i), root);
        }
        vm.assertEq(ledger.roundOf(1).postingNumber, 1);
        bond(STRANGER, 10_000);
        bytes32 digest = ledger.digestOf(1);
        vm.prank(STRANGER);
        expectError(abi.encodeWithSelector(ISecureAggregation.SurvivorsAlreadyFixed.selector, 1));
        masks.fixSurvivors(1, digest, nobody, none);
        vm.startPrank(STRANGER);
        masks.publishSeeds(1, seeds);
        ledger.post(1, digest, nobody, sums(4 + 1), 0, 0, "another model");
        vm.stopPrank();
        vm.assertEq(uint256(ledger.roundOf(1).status), uint256(RoundStatus.Posted));
    }

    function sealedRootIn(uint32 number, uint256 i) private pure returns (bytes32) {
        return keccak256(abi.encode(number, i));
    }

    /// forge-config: default.fuzz.runs = 32
    /// @notice Any exclusions and any absentees that leave enough, and no others.
    function testCountsThem(uint256 submitting, uint256 draw) public {
        uint256 count = 9;
        submitting = bound(submitting, 3, count);
        closeMasked(count, submitting);
        pass(20);
        bool[] memory excluded = someExclusions(draw, submitting);
        Exclusion[] memory exclusions = new Exclusion[](submitting);
        uint256 left;
        for (uint16 i; i < submitting; ++i) {
            if (excluded[i]) exclusions[left++] = excluding(i, i, draw >> 100 + i & 1 == 1 ? 1 : 3);
        }
        assembly ("memory-safe") {
            mstore(exclusions, left)
        }
        uint256 survivors = submitting - left;
        if (survivors < 6) {
            refuseFix(tooFew(survivors, 6), AGGREGATOR, exclusions, people(submitting, count));
            return;
        }
        fix(AGGREGATOR, exclusions, people(submitting, count));
        vm.assertEq(masks.survivorsOf(1).survivors, survivors);
        vm.assertEq(masks.survivorsOf(1).terms, termCount(count, survivors));
    }

    // ------------------------------------------------------------------ when, and whose turn it is

    /// forge-config: default.fuzz.runs = 16
    function testRefusesARoundThatIsNotClosed(uint32 number) public {
        vm.assume(number != 1);
        openMasked(3);
        bytes32 digest = ledger.digestOf(1);
        vm.startPrank(AGGREGATOR);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        masks.fixSurvivors(number, digest, nobody, none);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Open));
        masks.fixSurvivors(1, digest, nobody, none);
    }

    /// forge-config: default.fuzz.runs = 16
    function testRefusesAnotherDigest(bytes32 digest) public {
        closeMasked(3, 3);
        bytes32 expected = ledger.digestOf(1);
        vm.assume(digest != expected);
        vm.prank(AGGREGATOR);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongDigest.selector, digest, expected));
        masks.fixSurvivors(1, digest, nobody, none);
    }

    function testNeedsAFreeBond() public {
        closeMasked(3, 3);
        pass(50);
        bytes memory reason = abi.encodeWithSelector(ITrainingLedger.BondTooSmall.selector, 9999, 10_000);
        bond(STRANGER, 9999);
        refuseFix(reason, STRANGER, nobody, none);
        bond(STRANGER, 1);
        fix(STRANGER, nobody, none);
    }

    function testOthersComeAfterThePostingPeriod() public {
        closeMasked(3, 3);
        bond(STRANGER, 10_000);
        uint256 openToAllAt = block.timestamp + 50;
        pass(49);
        refuseFix(turn(openToAllAt, STRANGER), STRANGER, nobody, none);
        pass(1);
        fix(STRANGER, nobody, none);
    }

    /// forge-config: default.fuzz.runs = 16
    function testTheDeadlineOnBothSides(uint256 later) public {
        closeMasked(3, 3);
        uint256 deadline = block.timestamp + 110;
        vm.warp(bound(later, deadline, deadline + 1000));
        refuseFix(
            abi.encodeWithSelector(ITrainingLedger.DeadlinePassed.selector, 1, deadline), AGGREGATOR, nobody, none
        );
        vm.warp(deadline - 1);
        fix(AGGREGATOR, nobody, none);
    }

    function testExclusionsWaitForThePublication() public {
        closeMasked(4, 4);
        Exclusion[] memory exclusions = only(excluding(1, 1, 3));
        uint256 publishedAt = block.timestamp + 20;
        pass(19);
        refuseFix(
            abi.encodeWithSelector(ITrainingLedger.ExclusionsTooEarly.selector, publishedAt),
            AGGREGATOR,
            exclusions,
            none
        );
        pass(1);
        fix(AGGREGATOR, exclusions, none);
    }

    // ------------------------------------------------------------------ who fixed what came to nothing

    /// @notice Else one who fixes a set that nobody can post would keep the run where it is.
    function testWhoFixedAVoidRoundComesLast() public {
        closeMasked(3, 3);
        bond(STRANGER, 10_000);
        fix(AGGREGATOR, nobody, none);
        letLapse();
        closeLatest(3, 3);
        uint256 openToAllAt = block.timestamp + 50;
        vm.assertEq(ledger.runState().aggregator, AGGREGATOR);
        refuseFix(turn(openToAllAt, AGGREGATOR), AGGREGATOR, nobody, none);
        uint256 snapshot = vm.snapshotState();
        fix(STRANGER, nobody, none);
        vm.revertToState(snapshot);
        pass(49);
        refuseFix(turn(openToAllAt, AGGREGATOR), AGGREGATOR, nobody, none);
        pass(1);
        fix(AGGREGATOR, nobody, none);
    }

    /// @notice One after the other, whoever failed once has failed until a model stands again.
    function testEachFailsOnce() public {
        closeMasked(3, 3);
        bond(STRANGER, 10_000);
        bond(OPERATOR, 20_000);
        fix(AGGREGATOR, nobody, none);
        letLapse();
        closeLatest(3, 3);
        fix(STRANGER, nobody, none);
        letLapse();
        closeLatest(3, 3);
        refuseFix(turn(block.timestamp + 50, AGGREGATOR), AGGREGATOR, nobody, none);
        refuseFix(turn(block.timestamp + 50, STRANGER), STRANGER, nobody, none);
        fix(OPERATOR, nobody, none);
        pass(50);
        postLatest(OPERATOR, 3, 3);
        vm.assertEq(ledger.runState().tip, 3);

        // A model stands: everything is as it was, but for who is named.
        closeLatest(3, 3);
        refuseFix(turn(block.timestamp + 50, STRANGER), STRANGER, nobody, none);
        fix(OPERATOR, nobody, none);
    }

    function testALapseWithoutSurvivorsIsNobodysFault() public {
        closeMasked(3, 3);
        bond(STRANGER, 10_000);
        letLapse();
        closeLatest(3, 3);
        refuseFix(turn(block.timestamp + 50, STRANGER), STRANGER, nobody, none);
        fix(AGGREGATOR, nobody, none);
    }

    // ------------------------------------------------------------------ exclusions

    function testExclusionsAreOfSubmissions() public {
        closeMasked(4, 4);
        pass(20);
        Exclusion[] memory exclusions = only(excluding(3, 4, 1));
        refuseFix(abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, 4, 4), AGGREGATOR, exclusions, none);
        exclusions[0].index = 2;
        refuseFix(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 2), AGGREGATOR, exclusions, none);
        exclusions[0].index = 3;
        fix(AGGREGATOR, exclusions, none);
    }

    /// forge-config: default.fuzz.runs = 16
    function testExclusionsOpenTheirLeaves(uint256 what) public {
        closeMasked(4, 4);
        pass(20);
        Exclusion[] memory exclusions = only(excluding(1, 1, 1));
        if (what % 3 == 0) exclusions[0].weight += 1;
        if (what % 3 == 1) exclusions[0].participant = worker(2);
        if (what % 3 == 2) exclusions[0].sealedRoot = sealedRoot(2);
        refuseFix(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 1), AGGREGATOR, exclusions, none);
    }

    function testExclusionsAscend() public {
        closeMasked(7, 7);
        pass(20);
        Exclusion[] memory exclusions = new Exclusion[](2);
        (exclusions[0], exclusions[1]) = (excluding(2, 2, 1), excluding(2, 2, 1));
        bytes memory reason = abi.encodeWithSelector(ITrainingLedger.ExclusionsNotAscending.selector, 1);
        refuseFix(reason, AGGREGATOR, exclusions, none);
        exclusions[1] = excluding(1, 1, 1);
        refuseFix(reason, AGGREGATOR, exclusions, none);
        exclusions[1] = excluding(3, 3, 1);
        fix(AGGREGATOR, exclusions, none);
    }

    /// forge-config: default.fuzz.runs = 16
    /// @notice Out of range is what nobody can know of masked lanes.
    function testReasons(uint8 reason) public {
        closeMasked(4, 4);
        pass(20);
        Exclusion[] memory exclusions = only(excluding(1, 1, reason));
        if (reason == 1 || reason == 3) {
            fix(AGGREGATOR, exclusions, none);
        } else {
            refuseFix(
                abi.encodeWithSelector(ITrainingLedger.UnknownReason.selector, reason), AGGREGATOR, exclusions, none
            );
        }
    }

    function testReasonsAtTheirBounds() public {
        closeMasked(4, 4);
        pass(20);
        uint8[3] memory unknown = [0, 2, 4];
        for (uint256 i; i < 3; ++i) {
            refuseFix(
                abi.encodeWithSelector(ITrainingLedger.UnknownReason.selector, unknown[i]),
                AGGREGATOR,
                only(excluding(1, 1, unknown[i])),
                none
            );
        }
    }

    // ------------------------------------------------------------------ absentees

    function testAllAbsenteesAreNamed() public {
        closeMasked(6, 4);
        for (uint256 last = 4; last < 9; ++last) {
            if (last == 6) continue;
            refuseFix(
                abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "absentees", last - 4, 2),
                AGGREGATOR,
                nobody,
                people(4, last)
            );
        }
        fix(AGGREGATOR, nobody, people(4, 6));
    }

    /// forge-config: default.fuzz.runs = 16
    function testAbsenteesAreMembersWhoDidNotSubmit(address stranger) public {
        vm.assume(stranger != worker(4) && stranger != worker(5));
        closeMasked(6, 4);
        address[] memory absentees = people(4, 6);
        absentees[1] = worker(3);
        refuseFix(notAbsent(worker(3)), AGGREGATOR, nobody, absentees);
        absentees[0] = stranger;
        refuseFix(notAbsent(stranger), AGGREGATOR, nobody, absentees);
    }

    function testAMemberOfAnEarlierRoundIsNotAbsent() public {
        openMasked(6);
        closeLatest(6, 4);
        letLapse();
        setUpKeys(4);
        closeLatest(4, 4);
        refuseFix(notAbsent(worker(5)), AGGREGATOR, nobody, people(5, 6));
        fix(AGGREGATOR, nobody, people(4, 5));
    }

    function testAbsenteesAscend() public {
        closeMasked(6, 4);
        address[] memory absentees = people(4, 6);
        (absentees[0], absentees[1]) = (absentees[1], absentees[0]);
        refuseFix(notAbsent(worker(4)), AGGREGATOR, nobody, absentees);
        absentees[0] = worker(4);
        refuseFix(notAbsent(worker(4)), AGGREGATOR, nobody, absentees);
    }

    /// @notice Who left, or was suspended, is absent all the same.
    function testWhoLeftIsAbsent() public {
        openMasked(6);
        setUpAll(6);
        submitAll(4);
        suspend(5);
        vm.prank(worker(4));
        ledger.leave();
        fix(AGGREGATOR, nobody, people(4, 6));
        vm.assertEq(masks.survivorsOf(1).terms, 4 + 2 * 4);
    }

    // ------------------------------------------------------------------ how many stay

    /// @notice `floor(2 (members - 1) / 3) + 1`, or the quorum where that is more.
    function testTheThresholdOnBothSides() public {
        uint256[7] memory needed = [uint256(3), 3, 3, 4, 5, 5, 6];
        uint256 snapshot = vm.snapshotState();
        for (uint256 count = 3; count < 10; ++count) {
            closeMasked(count, count);
            pass(20);
            Exclusion[] memory exclusions = new Exclusion[](count - needed[count - 3] + 1);
            for (uint16 i; i < exclusions.length; ++i) {
                exclusions[i] = excluding(i, i, 3);
            }
            refuseFix(tooFew(needed[count - 3] - 1, needed[count - 3]), AGGREGATOR, exclusions, none);
            assembly ("memory-safe") {
                mstore(exclusions, sub(mload(exclusions), 1))
            }
            fix(AGGREGATOR, exclusions, none);
            vm.assertEq(masks.survivorsOf(1).survivors, needed[count - 3]);
            vm.revertToState(snapshot);
        }
    }

    /// @notice Where too many are gone the round is void once its time is over, nobody has lost a bond, and the next opens.
    function testBelowTheThresholdTheRoundIsVoid() public {
        closeMasked(7, 4);
        refuseFix(tooFew(4, 5), AGGREGATOR, nobody, people(4, 7));
        uint256 poolWei = ledger.runState().poolWei;
        pass(109);
        expectError(abi.encodeWithSelector(ITrainingLedger.DeadlineNotPassed.selector, 1, block.timestamp + 1));
        ledger.voidRound(1);
        pass(1);
        expectEvent();
        emit ITrainingLedger.RoundVoided(1, VoidReason.NotPosted);
        ledger.voidRound(1);
        vm.assertEq(ledger.runState().poolWei, poolWei);
        vm.assertEq(latest(), 2);
        vm.assertEq(ledger.accountOf(AGGREGATOR).freeBondWei, 100 * 10_000);
        vm.assertEq(ledger.accountOf(AGGREGATOR).lockedBondWei, 0);
    }
}

/// @notice As many terms as a posting may list.
contract FixSurvivorsOfManyTest is MaskedTest {
    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.maxTotalWeight = 10_000;
        policy.clipLanes = 100;
    }

    /// @notice The masks that the departed share with those who stay: each with its neighbours alone.
    function pairs(uint256 submitting, uint256 count, uint256 leftOut) private view returns (uint256 found) {
        KeyRing memory keys = masks.keyRingOf(1);
        uint256[] memory order = graphRing();
        for (uint256 i; i < count; ++i) {
            if (i != leftOut && i < submitting) continue;
            uint256[] memory around = aroundIn(order, keys.reach, i);
            for (uint256 k; k < around.length; ++k) {
                if (around[k] != leftOut && around[k] < submitting) ++found;
            }
        }
    }

    /// forge-config: default.fuzz.runs = 4
    function testCountsTheNeighboursOfTheDeparted(uint256 submitting, uint16 leftOut, bytes32 randomness) public {
        vm.prevrandao(randomness);
        uint256 count = 70;
        submitting = bound(submitting, 60, count);
        leftOut = uint16(bound(leftOut, 0, submitting - 1));
        closeMasked(count, submitting);
        pass(20);
        uint256 expected = submitting - 1 + pairs(submitting, count, leftOut);
        fix(AGGREGATOR, only(excluding(leftOut, leftOut, 1)), people(submitting, count));
        vm.assertEq(masks.survivorsOf(1).terms, expected);
        vm.assertLe(expected, submitting - 1 + (count - submitting + 1) * 2 * masks.keyRingOf(1).reach);
    }

    /// @notice 512 members, of whom as many leave as there are terms for, or one more.
    function testTheTermsOnBothSides() public {
        uint256 count = 512;
        openMasked(count);
        draw();
        setUpAll(count);
        uint256 submitting = 420;
        uint256 terms;
        do {
            --submitting;
            terms = submitting + pairs(submitting, count, count);
        } while (terms <= 8192);
        vm.assertLe(342, submitting); // so few could not be unmasked
        submitAll(submitting);
        uint256 snapshot = vm.snapshotState();
        pass(100);
        ledger.closeRound(1);
        bytes memory reason = abi.encodeWithSelector(ISecureAggregation.TooManyTerms.selector, terms, 8192);
        refuseFix(reason, AGGREGATOR, nobody, people(submitting, count));
        vm.revertToState(snapshot);
        submit(submitting);
        pass(100);
        ledger.closeRound(1);
        fix(AGGREGATOR, nobody, people(submitting + 1, count));
        vm.assertEq(masks.survivorsOf(1).terms, submitting + 1 + pairs(submitting + 1, count, count));
    }

    /// @notice With a twentieth gone it stays far below what a transaction may take, whatever else is in its block.
    function testTheGasOf128Members() public {
        vm.assertLe(gasOf(128), 600_000);
    }

    function testTheGasOf256Members() public {
        vm.assertLe(gasOf(256), 1_100_000);
    }

    function gasOf(uint256 count) private returns (uint256) {
        uint256 submitting = count - count / 20;
        closeMasked(count, submitting);
        address[] memory absentees = people(submitting, count);
        bytes32 digest = ledger.digestOf(1);
        vm.cool(address(masks));
        vm.prank(AGGREGATOR);
        uint256 before = gasleft();
        masks.fixSurvivors(1, digest, nobody, absentees);
        return before - gasleft();
    }
}
