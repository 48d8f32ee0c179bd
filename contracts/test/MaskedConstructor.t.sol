// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskedTest.sol";

contract MaskedConstructorTest is MaskedTest {
    function refuse(Policy memory policy, string memory field, uint256 value) private {
        expectError(abi.encodeWithSelector(ITrainingLedger.PolicyOutOfBounds.selector, field, value));
        this.make(policy);
    }

    function make(Policy memory policy) external returns (ITrainingLedger made) {
        vm.startPrank(OPERATOR);
        made = create(definition(), policy, AGGREGATOR, address(0));
        vm.stopPrank();
    }

    function testHoldsWhatItWasGiven() public view {
        vm.assertEq(ledger.verifier(), address(masks));
        vm.assertEq(masks.ledger(), address(ledger));
        vm.assertEq(ledger.operator(), OPERATOR);
        vm.assertEq(keccak256(abi.encode(ledger.policy())), keccak256(abi.encode(rules())));
        vm.assertEq(keccak256(abi.encode(ledger.definition())), keccak256(abi.encode(definition())));
    }

    function testTheKind() public {
        Policy memory policy = rules();
        for (uint8 kind; kind < 3; ++kind) {
            policy.aggregation = AggregationKind(kind);
            refuse(policy, "aggregation", kind);
        }
    }

    /// @notice Groups are of the kind that has a result, and that kind has groups.
    function testTheKindHasGroups() public {
        Policy memory policy = rules();
        policy.aggregation = AggregationKind.MaskedResult;
        policy.quorum = 9;
        refuse(policy, "groups", 0);
        expectError(abi.encodeWithSelector(ITrainingLedger.PolicyOutOfBounds.selector, "aggregation", 4));
        this.makePlain(policy);
    }

    function testThePlainLedgerIsNotMasked() public {
        expectError(abi.encodeWithSelector(ITrainingLedger.PolicyOutOfBounds.selector, "aggregation", 3));
        this.makePlain(rules());
    }

    function makePlain(Policy memory policy) external {
        create(abi.encode(definition(), policy, AGGREGATOR, address(0)));
    }

    function testQuorumOnBothSides() public {
        Policy memory policy = rules();
        policy.quorum = 2;
        refuse(policy, "quorum", 2);
        policy.quorum = 1;
        refuse(policy, "quorum", 1);
        policy.quorum = 3;
        this.make(policy);
    }

    /// forge-config: default.fuzz.runs = 16
    function testCloseAtIsNone(uint16 closeAt) public {
        Policy memory policy = rules();
        policy.closeAt = uint16(bound(closeAt, 3, type(uint16).max));
        refuse(policy, "closeAt", policy.closeAt);
    }

    function testSubmissionSecondsOnBothSides() public {
        Policy memory policy = rules();
        policy.submissionSeconds = 3;
        refuse(policy, "submissionSeconds", 3);
        policy.submissionSeconds = 4;
        this.make(policy);
    }

    function testRefusesTheMasksOfAnother() public {
        expectError(abi.encodeWithSelector(IMaskedLedger.MasksOfAnother.selector, masks));
        this.makeWithOthers();
    }

    function makeWithOthers() external {
        createFrom(LEDGER_ARTIFACT, abi.encode(definition(), rules(), AGGREGATOR, address(0), masks));
    }

    function testBothLeaveRoomBelowTheCodeLimit() public view {
        vm.assertLe(address(ledger).code.length, 24_576);
        vm.assertLe(address(masks).code.length, 24_576);
        bytes memory arguments = abi.encode(definition(), rules(), AGGREGATOR, address(0), masks);
        vm.assertLe(vm.getCode(LEDGER_ARTIFACT).length + arguments.length, 49_152);
    }

    function verifyMadeOf(string memory artifact, string memory source) private view {
        string memory key = string.concat(".sources['", source, "']");
        string memory hash = string.concat("0x", vm.parseJsonString(vm.readFile(artifact), key));
        vm.assertEq(vm.toString(sha256(bytes(vm.readFile(source)))), hash, "run `make contracts`");
    }

    function testBothAreCurrent() public view {
        string[7] memory sources = [
            "MaskedLedger.sol",
            "SecureAggregation.sol",
            "TrainingLedger.sol",
            "ChallengeVerifier.sol",
            "interfaces/IMaskedLedger.sol",
            "interfaces/ISecureAggregation.sol",
            "libraries/Masks.sol"
        ];
        for (uint256 i; i < sources.length; ++i) {
            verifyMadeOf(LEDGER_ARTIFACT, sources[i]);
            verifyMadeOf(MASKS_ARTIFACT, sources[i]);
        }
    }
}
