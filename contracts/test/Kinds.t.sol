// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

/// @notice What each kind of aggregation has to post, and which challenges it leaves.
abstract contract KindTest is LedgerTest {
    Exclusion[] internal none;

    function kind() internal pure virtual returns (AggregationKind);

    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.aggregation = kind();
    }

    function send(uint256 sumCount, bytes32 resultRoot, bytes32 stateRoot) internal {
        bytes32 digest = ledger.digestOf(1);
        bytes32[] memory roots = sums(sumCount);
        vm.prank(AGGREGATOR);
        ledger.post(1, digest, none, roots, resultRoot, stateRoot, "model");
    }

    function refuseRoots(uint256 sumCount, bytes32 resultRoot, bytes32 stateRoot) internal {
        bytes32 digest = ledger.digestOf(1);
        bytes32[] memory roots = sums(sumCount);
        vm.prank(AGGREGATOR);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongRoots.selector, kind(), resultRoot, stateRoot));
        ledger.post(1, digest, none, roots, resultRoot, stateRoot, "model");
    }

    function refuseSums(uint256 given, uint256 expected) internal {
        bytes32 digest = ledger.digestOf(1);
        bytes32[] memory roots = sums(given);
        vm.prank(AGGREGATOR);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPartialSumCount.selector, given, expected));
        ledger.post(1, digest, none, roots, "result", "state", "model");
    }

    function refuseChallenge() internal {
        expectError(abi.encodeWithSelector(ITrainingLedger.NoSuchChallenge.selector, kind()));
    }

    function emptySum() internal pure returns (SumProof memory proof) { }

    function emptyApply() internal pure returns (ApplyProof memory proof) { }

    function emptyRange() internal pure returns (RangeProof memory proof) { }

    function verifyTheKind() internal view {
        vm.assertEq(uint256(ledger.policy().aggregation), uint256(kind()));
    }

    /// @dev The verifier looks at it: only its answer is no.
    function verifyRangeExists() internal {
        close(3);
        send(
            kind() == AggregationKind.Result ? 0 : 1,
            kind() == AggregationKind.Result ? bytes32("result") : bytes32(0),
            kind() == AggregationKind.SumsWithState ? bytes32("state") : bytes32(0)
        );
        RangeProof memory proof = emptyRange();
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "content", 0, 4096));
        ledger.challengeRange(1, proof);
    }
}

contract SumsTest is KindTest {
    function kind() internal pure override returns (AggregationKind) {
        return AggregationKind.Sums;
    }

    function testTheKindIsPartOfThePolicy() public view {
        verifyTheKind();
    }

    function testRangeExists() public {
        verifyRangeExists();
    }

    function testAnyRootIsRefused(bytes32 resultRoot, bytes32 stateRoot) public {
        close(3);
        if (resultRoot != 0 || stateRoot != 0) refuseRoots(1, resultRoot, stateRoot);
        send(1, 0, 0);
    }

    function testEveryChallengeExists() public {
        close(3);
        send(1, 0, 0);
        bytes32 given = sha256(hex"03");
        bytes32 expected = ledger.sumsHashOf(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPartialSums.selector, given, expected));
        ledger.challengeSum(1, emptySum());
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPartialSums.selector, given, expected));
        ledger.challengeApply(1, emptyApply());
    }
}

contract SumsWithStateTest is KindTest {
    function kind() internal pure override returns (AggregationKind) {
        return AggregationKind.SumsWithState;
    }

    function testTheKindIsPartOfThePolicy() public view {
        verifyTheKind();
    }

    function testRangeExists() public {
        verifyRangeExists();
    }

    function testTakesSumsAndAState(bytes32 resultRoot, bytes32 stateRoot) public {
        close(3);
        refuseSums(0, 1);
        if (resultRoot != 0 || stateRoot == 0) refuseRoots(1, resultRoot, stateRoot);
        refuseRoots(1, 0, 0);
        refuseRoots(1, "result", "state");
        expectEvent();
        emit ITrainingLedger.RoundPosted(
            1, 0, AGGREGATOR, "model", 0, "state", 3, 6, uint40(block.timestamp + 200), none, sums(1)
        );
        send(1, 0, "state");
    }

    function testSumExistsAndApplyDoesNot() public {
        close(3);
        send(1, 0, "state");
        bytes32 expected = ledger.sumsHashOf(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPartialSums.selector, sha256(hex"03"), expected));
        ledger.challengeSum(1, emptySum());
        refuseChallenge();
        ledger.challengeApply(1, emptyApply());
    }
}

contract ResultTest is KindTest {
    function kind() internal pure override returns (AggregationKind) {
        return AggregationKind.Result;
    }

    function weightCap() internal pure override returns (uint32) {
        return 1;
    }

    function weightOf(uint256) internal pure override returns (uint32) {
        return 1;
    }

    function testTheKindIsPartOfThePolicy() public view {
        verifyTheKind();
    }

    function testRangeExists() public {
        verifyRangeExists();
    }

    function testTakesAResultAlone(bytes32 resultRoot, bytes32 stateRoot, uint8 count) public {
        count = uint8(bound(count, 1, 20));
        close(3);
        refuseSums(count, 0);
        if (resultRoot == 0 || stateRoot != 0) refuseRoots(0, resultRoot, stateRoot);
        refuseRoots(0, 0, 0);
        refuseRoots(0, "result", "state");
        expectEvent();
        emit ITrainingLedger.RoundPosted(
            1, 0, AGGREGATOR, "model", "result", 0, 3, 3, uint40(block.timestamp + 200), none, new bytes32[](0)
        );
        send(0, "result", 0);
        vm.assertEq(ledger.sumsHashOf(1), sha256(hex"03"));
    }

    function testNeitherSumNorApplyExists() public {
        close(3);
        send(0, "result", 0);
        refuseChallenge();
        ledger.challengeSum(1, emptySum());
        refuseChallenge();
        ledger.challengeApply(1, emptyApply());
    }

    function testEveryWeightIsOne(uint32 cap) public {
        vm.startPrank(OPERATOR);
        if (cap != 1) {
            expectError(abi.encodeWithSelector(ITrainingLedger.WeightCapOutOfBounds.selector, cap, 1));
            ledger.admit(worker(0), cap);
        }
        ledger.admit(worker(0), 1);
        vm.stopPrank();
        vm.assertEq(ledger.participantOf(worker(0)).weightCap, 1);
    }

    function testASubmissionOfAnotherWeightIsRefused() public {
        open(3);
        bytes32 base = baseRoot();
        vm.prank(worker(0));
        expectError(abi.encodeWithSelector(ITrainingLedger.WeightOutOfBounds.selector, 2, 1));
        ledger.submit(1, base, "sealed", 2);
    }
}
