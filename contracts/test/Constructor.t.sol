// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract ConstructorTest is LedgerTest {
    function refuse(Policy memory policy, string memory field, uint256 value) private {
        expectError(abi.encodeWithSelector(ITrainingLedger.PolicyOutOfBounds.selector, field, value));
        this.make(definition(), policy);
    }

    function refuse(RunDefinition memory run, string memory field, uint256 value) private {
        expectError(abi.encodeWithSelector(ITrainingLedger.PolicyOutOfBounds.selector, field, value));
        this.make(run, rules());
    }

    function accept(Policy memory policy) private {
        vm.assertEq(keccak256(abi.encode(this.make(definition(), policy).policy())), keccak256(abi.encode(policy)));
    }

    function make(RunDefinition memory run, Policy memory policy) external returns (ITrainingLedger) {
        return create(run, policy, AGGREGATOR, address(0));
    }

    function testHoldsWhatItWasGiven() public view {
        vm.assertEq(ledger.operator(), OPERATOR);
        vm.assertEq(ledger.token(), address(0));
        vm.assertEq(keccak256(abi.encode(ledger.definition())), keccak256(abi.encode(definition())));
        vm.assertEq(keccak256(abi.encode(ledger.policy())), keccak256(abi.encode(rules())));
        vm.assertEq(ledger.modelRootOf(0), "genesis");
        RunState memory state = ledger.runState();
        vm.assertEq(state.aggregator, AGGREGATOR);
        vm.assertEq(state.endsAfter, NEVER);
        vm.assertEq(state.endsAt, type(uint40).max);
        vm.assertEq(state.latest, 0);
        vm.assertFalse(ledger.hasEnded());
    }

    function testEmitsTheWholeRun() public {
        vm.expectEmit();
        emit ITrainingLedger.RunDeployed(OPERATOR, AGGREGATOR, address(7), definition(), rules());
        deploy(rules(), address(7));
    }

    function testRefusesNoAggregator() public {
        expectError(abi.encodeWithSelector(ITrainingLedger.ZeroAddress.selector));
        this.makeWithoutAggregator();
    }

    function makeWithoutAggregator() external {
        create(definition(), rules(), address(0), address(0));
    }

    function testDefinition() public {
        RunDefinition memory run = definition();
        run.policyHash = 0;
        refuse(run, "policyHash", 0);
        run = definition();
        run.manifestHash = 0;
        refuse(run, "manifestHash", 0);
        run = definition();
        run.genesisModelRoot = 0;
        refuse(run, "genesisModelRoot", 0);
    }

    function testDimension() public {
        RunDefinition memory run = definition();
        run.dimension = 0;
        refuse(run, "dimension", 0);
        run.dimension = 2 ** 32 + 1;
        refuse(run, "dimension", 2 ** 32 + 1);
        run.dimension = 1;
        this.make(run, rules());
        run.dimension = 2 ** 32;
        this.make(run, rules());
    }

    function testFractionBits(uint8 bits) public {
        Policy memory policy = rules();
        policy.fractionBits = bits;
        if (bits < 8 || bits > 24) refuse(policy, "fractionBits", bits);
        else accept(policy);
    }

    function testFractionBitsAtItsBounds() public {
        testFractionBits(7);
        testFractionBits(8);
        testFractionBits(24);
        testFractionBits(25);
    }

    function testScaleBitsAtItsBounds() public {
        Policy memory policy = rules();
        policy.scaleBits = 41;
        refuse(policy, "scaleBits", 41);
        policy.scaleBits = 40;
        accept(policy);
        policy.scaleBits = 0;
        accept(policy);
    }

    function testMaxTotalWeightAtItsBounds() public {
        Policy memory policy = rules();
        policy.clipLanes = 1;
        policy.maxTotalWeight = 0;
        refuse(policy, "maxTotalWeight", 0);
        policy.maxTotalWeight = 1;
        accept(policy);
        policy.scaleBits = 40;
        policy.maxTotalWeight = 2 ** 21 - 1;
        accept(policy);
        policy.maxTotalWeight = 2 ** 21;
        refuse(policy, "maxTotalWeight", 2 ** 21);
    }

    function testClipLanesAtItsBounds() public {
        Policy memory policy = rules();
        policy.clipLanes = 0;
        refuse(policy, "clipLanes", 0);
        policy.clipLanes = 1;
        policy.maxTotalWeight = 2 ** 31 - 1;
        policy.scaleBits = 0;
        accept(policy);
        policy.clipLanes = 2 ** 16;
        policy.maxTotalWeight = 2 ** 15 - 1;
        accept(policy);
        policy.maxTotalWeight = 2 ** 15;
        refuse(policy, "clipLanes", 2 ** 16);
        policy.clipLanes = type(uint32).max;
        policy.maxTotalWeight = type(uint32).max;
        refuse(policy, "clipLanes", type(uint32).max);
    }

    function testQuorumAndCloseAtTheirBounds() public {
        Policy memory policy = rules();
        policy.quorum = 0;
        refuse(policy, "quorum", 0);
        policy.quorum = 1;
        accept(policy);
        policy.quorum = 5;
        policy.closeAt = 4;
        refuse(policy, "closeAt", 4);
        policy.closeAt = 5;
        accept(policy);
    }

    function testRoundsAtTheirBounds() public {
        Policy memory policy = rules();
        policy.maxRounds = 0;
        refuse(policy, "maxRounds", 0);
        policy.maxRounds = 1;
        policy.maxUnfinalRounds = 0;
        refuse(policy, "maxUnfinalRounds", 0);
        policy.maxUnfinalRounds = 65;
        refuse(policy, "maxUnfinalRounds", 65);
        policy.maxUnfinalRounds = 64;
        accept(policy);
        policy.maxUnfinalRounds = 1;
        accept(policy);
    }

    function withPeriod(uint256 which, uint32 periodSeconds) private view returns (Policy memory policy) {
        policy = rules();
        policy.takeoverSeconds = 365 days;
        if (which == 0) policy.submissionSeconds = periodSeconds;
        if (which == 1) policy.publicationSeconds = periodSeconds;
        if (which == 2) policy.postingSeconds = periodSeconds;
        if (which == 3) policy.challengeSeconds = periodSeconds;
        if (which == 4) policy.unbondingSeconds = periodSeconds;
        if (which == 5) policy.takeoverSeconds = periodSeconds;
    }

    function testPeriodsAtTheirBounds() public {
        string[6] memory fields = [
            "submissionSeconds",
            "publicationSeconds",
            "postingSeconds",
            "challengeSeconds",
            "unbondingSeconds",
            "takeoverSeconds"
        ];
        for (uint256 i; i < fields.length; ++i) {
            refuse(withPeriod(i, 0), fields[i], 0);
            refuse(withPeriod(i, 365 days + 1), fields[i], 365 days + 1);
            accept(withPeriod(i, 1));
            accept(withPeriod(i, 365 days));
        }
    }

    function testPublicationEndsBeforePostingDoes() public {
        Policy memory policy = rules();
        policy.publicationSeconds = policy.postingSeconds + policy.takeoverSeconds;
        refuse(policy, "publicationSeconds", policy.publicationSeconds);
        policy.publicationSeconds -= 1;
        accept(policy);
    }

    function testChallengeRewardAtItsBound() public {
        Policy memory policy = rules();
        policy.challengeRewardWei = policy.bondWei / 10 + 1;
        refuse(policy, "challengeRewardWei", policy.challengeRewardWei);
        policy.challengeRewardWei = policy.bondWei / 10;
        accept(policy);
    }

    function testPrivacyBudgetHoldsOneRoundAtLeast(uint64 perRound) public {
        Policy memory policy = rules();
        policy.rhoMicroPerRound = uint64(bound(perRound, 1, type(uint64).max));
        policy.rhoMicroBudget = policy.rhoMicroPerRound - 1;
        refuse(policy, "rhoMicroPerRound", policy.rhoMicroPerRound);
        policy.rhoMicroBudget += 1;
        accept(policy);
    }

    function testRefusesAnUnknownSplit() public {
        bytes memory arguments = abi.encode(definition(), rules(), AGGREGATOR, address(0));
        // The split is the twentieth of the policy's words, which follow the definition's four.
        arguments[24 * 32 - 1] = 0x02;
        vm.expectRevert();
        this.makeEncoded(arguments);
    }

    function makeEncoded(bytes calldata arguments) external {
        create(arguments);
    }
}
