// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract PostTest is LedgerTest {
    Exclusion[] private none;

    function send(address poster, bytes32 digest, Exclusion[] memory exclusions, bytes32[] memory roots) private {
        vm.prank(poster);
        ledger.post(1, digest, exclusions, roots, 0, 0, "model");
    }

    function refuse(bytes memory reason, Exclusion[] memory exclusions) private {
        bytes32 digest = ledger.digestOf(1);
        expectError(reason);
        send(AGGREGATOR, digest, exclusions, sums(1));
    }

    function testPostsAndOpensTheNextRoundOnIt() public {
        close(3);
        pass(7);
        bytes32[] memory roots = sums(1);
        uint40 finalizableAt = uint40(block.timestamp + 200);
        expectEvent();
        emit ITrainingLedger.RoundPosted(1, 0, AGGREGATOR, "model", 0, 0, 3, 6, finalizableAt, none, roots);
        expectEvent();
        emit ITrainingLedger.RoundOpened(2, 1, "model", 2, uint40(block.timestamp + 100), 3);
        send(AGGREGATOR, ledger.digestOf(1), none, roots);

        Posting memory posting = ledger.postingOf(1);
        vm.assertEq(posting.poster, AGGREGATOR);
        vm.assertEq(posting.finalizableAt, finalizableAt);
        vm.assertEq(posting.included, 3);
        vm.assertEq(posting.includedWeight, 6);
        vm.assertEq(ledger.modelRootOf(1), "model");
        vm.assertEq(ledger.sumsHashOf(1), sha256(abi.encodePacked(bytes1(0x03), roots)));
        vm.assertEq(ledger.runState().tip, 1);
        vm.assertEq(ledger.accountOf(AGGREGATOR).lockedBondWei, 10_000);
        vm.assertEq(ledger.accountOf(AGGREGATOR).freeBondWei, 99 * 10_000);
        vm.assertEq(uint256(ledger.roundOf(1).status), uint256(RoundStatus.Posted));
        vm.assertEq(ledger.roundOf(1).since, block.timestamp);
        vm.assertEq(round().lastClosed, 1);
    }

    function testExcludes(uint8 mask, uint8 reason) public {
        reason = uint8(bound(reason, 1, 3));
        mask = uint8(bound(mask, 1, 255));
        close(8);
        pass(20);
        uint256 count;
        uint32 excludedWeight;
        Exclusion[] memory list = new Exclusion[](8);
        for (uint16 i; i < 8; ++i) {
            if (mask >> i & 1 == 0) continue;
            list[count++] = excluding(i, i, reason);
            excludedWeight += weightOf(i);
        }
        assembly ("memory-safe") {
            mstore(list, count)
        }
        if (count == 8) return refuse(abi.encodeWithSelector(ITrainingLedger.NothingIncluded.selector), list);
        if (reason < 3 && count == 7) {
            return refuse(abi.encodeWithSelector(ITrainingLedger.BelowQuorum.selector, 1, 2), list);
        }
        send(AGGREGATOR, ledger.digestOf(1), list, sums(1));
        vm.assertEq(ledger.postingOf(1).included, 8 - count);
        vm.assertEq(ledger.postingOf(1).includedWeight, 36 - excludedWeight);
        for (uint16 i; i < 8; ++i) {
            vm.assertEq(ledger.isExcluded(1, i), mask >> i & 1 == 1);
        }
    }

    function firstOf(uint16 count, uint8 reason) private view returns (Exclusion[] memory list) {
        list = new Exclusion[](count);
        for (uint16 i; i < count; ++i) {
            list[i] = excluding(i, i, reason);
        }
    }

    function testRefusesToExcludeEverybody(uint16 count) public {
        count = uint16(bound(count, 2, 20));
        close(count);
        pass(20);
        bytes32 digest = ledger.digestOf(1);
        bytes32[] memory roots = sums(count <= 8 ? 1 : count <= 16 ? 3 : 4);
        Exclusion[] memory everybody = firstOf(count, 3);
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingIncluded.selector));
        send(AGGREGATOR, digest, everybody, roots);
        send(AGGREGATOR, digest, firstOf(count - 1, 3), roots);
        vm.assertEq(ledger.postingOf(1).included, 1);
    }

    function testAsManyAsTheQuorumStayUsable(uint8 reason) public {
        reason = uint8(bound(reason, 1, 2));
        close(4);
        pass(20);
        refuse(abi.encodeWithSelector(ITrainingLedger.BelowQuorum.selector, 1, 2), firstOf(3, reason));
        send(AGGREGATOR, ledger.digestOf(1), firstOf(2, reason), sums(1));
    }

    function testBothReasonsOfTheUnusable() public {
        testAsManyAsTheQuorumStayUsable(1);
        setUp();
        testAsManyAsTheQuorumStayUsable(2);
    }

    function testARuleMayLeaveFewerThanTheQuorum() public {
        close(4);
        pass(20);
        Exclusion[] memory list = firstOf(3, 3);
        list[0].reason = 1;
        list[1].reason = 2;
        send(AGGREGATOR, ledger.digestOf(1), list, sums(1));
        vm.assertEq(ledger.postingOf(1).included, 1);
    }

    function testMakesRoomByFinalizingWhatIsDue() public {
        Policy memory policy = rules();
        policy.maxUnfinalRounds = 2;
        deploy(policy, address(0));
        close(2);
        post();
        pass(99);
        submitAll(2);
        pass(109);
        expectEvent();
        emit ITrainingLedger.RoundFinalized(1, 1000, 100, 0);
        post();
        vm.assertEq(latest(), 3);
        vm.assertEq(ledger.runState().settled, 1);
    }

    function testMakesRoomByPassingAVoidRound() public {
        Policy memory policy = rules();
        policy.maxUnfinalRounds = 2;
        deploy(policy, address(0));
        open(2);
        pass(100);
        ledger.closeRound(1);
        submitAll(2);
        expectEvent();
        emit ITrainingLedger.VoidRoundSettled(1);
        post();
        vm.assertEq(latest(), 3);
        vm.assertEq(ledger.runState().settled, 1);
    }

    function testTheNumberOfPartialSums(uint256 count) public {
        count = bound(count, 2, 70);
        open(count);
        submitAll(count);
        uint256 expected;
        for (uint256 n = count; n != 1 || expected == 0;) {
            n = (n + 7) / 8;
            expected += n;
        }
        bytes32 digest = ledger.digestOf(1);
        uint256[2] memory wrong = [expected - 1, expected + 1];
        for (uint256 i; i < 2; ++i) {
            expectError(abi.encodeWithSelector(ITrainingLedger.WrongPartialSumCount.selector, wrong[i], expected));
            send(AGGREGATOR, digest, none, sums(wrong[i]));
        }
        send(AGGREGATOR, digest, none, sums(expected));
    }

    function testTheNumberOfPartialSumsWhereItChanges() public {
        uint256[5] memory submissions = [uint256(8), 9, 64, 65, 100];
        uint256[5] memory expected = [uint256(1), 3, 9, 12, 16];
        for (uint256 i; i < 5; ++i) {
            setUp();
            close(submissions[i]);
            send(AGGREGATOR, ledger.digestOf(1), none, sums(expected[i]));
        }
    }

    function testRefusesAnotherDigest(bytes32 digest) public {
        close(2);
        bytes32 expected = ledger.digestOf(1);
        vm.assume(digest != expected);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongDigest.selector, digest, expected));
        send(AGGREGATOR, digest, none, sums(1));
    }

    function testRefusesARoundThatIsNotClosed() public {
        open(2);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Open), none);
        submitAll(2);
        send(AGGREGATOR, ledger.digestOf(1), none, sums(1));
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Posted), none);
    }

    function testRefusesRootsThatNoRuleNeeds() public {
        close(2);
        bytes32 digest = ledger.digestOf(1);
        expectError(
            abi.encodeWithSelector(
                ITrainingLedger.WrongRoots.selector, AggregationKind.Sums, bytes32("result"), bytes32(0)
            )
        );
        vm.prank(AGGREGATOR);
        ledger.post(1, digest, none, sums(1), "result", 0, "model");
        expectError(
            abi.encodeWithSelector(
                ITrainingLedger.WrongRoots.selector, AggregationKind.Sums, bytes32(0), bytes32("state")
            )
        );
        vm.prank(AGGREGATOR);
        ledger.post(1, digest, none, sums(1), 0, "state", "model");
    }

    function testOthersPostOnceTheNamedOneHadItsTurn(address poster) public {
        vm.assume(poster != AGGREGATOR && uint160(poster) > 0xffff && poster.code.length == 0);
        close(2);
        bond(poster, 10_000);
        bytes32 digest = ledger.digestOf(1);
        pass(49);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotYourTurn.selector, poster, START + 50));
        send(poster, digest, none, sums(1));
        pass(1);
        expectEvent();
        emit ITrainingLedger.AggregatorNamed(poster);
        send(poster, digest, none, sums(1));
        vm.assertEq(ledger.runState().aggregator, poster);
    }

    function testTheDeadlineOnBothSides() public {
        close(2);
        pass(110);
        refuse(abi.encodeWithSelector(ITrainingLedger.DeadlinePassed.selector, 1, START + 110), none);
        vm.warp(START + 109);
        send(AGGREGATOR, ledger.digestOf(1), none, sums(1));
    }

    function testRefusesWithoutABond() public {
        fund(POOL);
        join(2);
        ledger.openRound();
        submitAll(2);
        bond(AGGREGATOR, 9_999);
        refuse(abi.encodeWithSelector(ITrainingLedger.BondTooSmall.selector, 9_999, 10_000), none);
        bond(AGGREGATOR, 1);
        send(AGGREGATOR, ledger.digestOf(1), none, sums(1));
    }

    function testExclusionsWaitForPublication() public {
        close(3);
        Exclusion[] memory list = only(excluding(1, 1, 1));
        pass(19);
        refuse(abi.encodeWithSelector(ITrainingLedger.ExclusionsTooEarly.selector, START + 20), list);
        pass(1);
        send(AGGREGATOR, ledger.digestOf(1), list, sums(1));
    }

    function testExclusionsAscend(uint16 first, uint16 second) public {
        first = uint16(bound(first, 0, 4));
        second = uint16(bound(second, 0, first));
        close(5);
        pass(20);
        Exclusion[] memory list = new Exclusion[](2);
        list[0] = excluding(first, first, 3);
        list[1] = excluding(second, second, 3);
        refuse(abi.encodeWithSelector(ITrainingLedger.ExclusionsNotAscending.selector, 1), list);
    }

    function testExclusionsStandInTheRound(uint16 index) public {
        vm.assume(index >= 3);
        close(3);
        pass(20);
        refuse(
            abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, index, 3), only(excluding(0, index, 1))
        );
    }

    function testRefusesAnUnknownReason(uint8 reason) public {
        vm.assume(reason == 0 || reason > 3);
        close(3);
        pass(20);
        refuse(abi.encodeWithSelector(ITrainingLedger.UnknownReason.selector, reason), only(excluding(0, 0, reason)));
    }

    function testUnknownReasonsBesideTheKnown() public {
        testRefusesAnUnknownReason(0);
        setUp();
        testRefusesAnUnknownReason(4);
    }

    function testExclusionsOpenTheirLeaf(uint256 field) public {
        close(3);
        pass(20);
        Exclusion memory one = excluding(1, 1, 1);
        field = field % 3;
        if (field == 0) one.weight += 1;
        if (field == 1) one.participant = worker(2);
        if (field == 2) one.sealedRoot = "other";
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 1), only(one));
    }
}
