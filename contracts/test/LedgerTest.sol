// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {
    Account,
    AggregationKind,
    ApplyProof,
    Claim,
    Exclusion,
    FallReason,
    ITrainingLedger,
    Opening,
    Participant,
    Policy,
    Posting,
    RangeProof,
    RewardSplit,
    Round,
    RoundStatus,
    RunDefinition,
    RunState,
    SumProof,
    VoidReason
} from "../interfaces/ITrainingLedger.sol";
import { Vm } from "./Vm.sol";

/// @notice A deployed ledger and the shortest way to each state of a round.
abstract contract LedgerTest {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address internal constant OPERATOR = address(0x1000);
    address internal constant AGGREGATOR = address(0x2000);
    address internal constant STRANGER = address(0x3000);
    string internal constant ARTIFACT = "../fl_chain/ledger/artifacts/TrainingLedger.json";
    string internal constant VERIFIER_ARTIFACT = "../fl_chain/ledger/artifacts/ChallengeVerifier.json";
    uint256 internal constant START = 1_000_000;
    uint256 internal constant POOL = 1_000_000;
    uint32 internal constant NEVER = type(uint32).max;

    ITrainingLedger internal ledger;
    uint256 private depositWei;

    function setUp() public virtual {
        vm.warp(START);
        deploy(rules(), address(0));
    }

    // ------------------------------------------------------------------ deployment

    function rules() internal view virtual returns (Policy memory) {
        return Policy({
            fractionBits: 22,
            scaleBits: 20,
            clipLanes: 1 << 15,
            maxTotalWeight: 1000,
            quorum: 2,
            closeAt: 0,
            maxRounds: 100,
            maxUnfinalRounds: 4,
            submissionSeconds: 100,
            publicationSeconds: 20,
            postingSeconds: 50,
            takeoverSeconds: 60,
            challengeSeconds: 200,
            unbondingSeconds: 300,
            rewardWei: 1000,
            aggregatorRewardWei: 100,
            bondWei: 10_000,
            challengeRewardWei: 1000,
            depositWei: 500,
            rewardSplit: RewardSplit.Equal,
            aggregation: AggregationKind.Sums,
            rhoMicroPerRound: 0,
            rhoMicroBudget: 0
        });
    }

    function definition() internal view virtual returns (RunDefinition memory) {
        return
            RunDefinition({
                policyHash: "policy", manifestHash: "manifest", genesisModelRoot: "genesis", dimension: 3000
            });
    }

    function create(RunDefinition memory run, Policy memory policy, address aggregator, address token)
        internal
        virtual
        returns (ITrainingLedger)
    {
        return ITrainingLedger(create(abi.encode(run, policy, aggregator, token)));
    }

    function create(bytes memory arguments) internal returns (address created) {
        return createFrom(ARTIFACT, arguments);
    }

    function createFrom(string memory artifact, bytes memory arguments) internal returns (address created) {
        bytes memory code = bytes.concat(vm.getCode(artifact), arguments);
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
            if iszero(created) {
                returndatacopy(mload(0x40), 0, returndatasize())
                revert(mload(0x40), returndatasize())
            }
        }
    }

    function deploy(Policy memory policy, address token) internal {
        depositWei = policy.depositWei;
        vm.startPrank(OPERATOR);
        ledger = create(definition(), policy, AGGREGATOR, token);
        vm.stopPrank();
    }

    /// @dev Runs the creation code at a place: the ledger's address is under every digest of the shared vectors.
    function deployAt(address place, RunDefinition memory run, Policy memory policy) internal {
        depositWei = policy.depositWei;
        vm.etch(place, bytes.concat(vm.getCode(ARTIFACT), abi.encode(run, policy, AGGREGATOR, address(0))));
        vm.prank(OPERATOR);
        (bool isCreated, bytes memory runtime) = place.call("");
        vm.assertTrue(isCreated);
        vm.etch(place, runtime);
        ledger = ITrainingLedger(place);
    }

    // ------------------------------------------------------------------ people and money

    function worker(uint256 i) internal pure virtual returns (address) {
        return address(uint160(0x10000 + i));
    }

    function payoutOf(uint256 i) internal pure returns (address) {
        return address(uint160(0x20000 + i));
    }

    function fund(uint256 amountWei) internal {
        vm.deal(OPERATOR, amountWei);
        vm.prank(OPERATOR);
        ledger.fund{ value: amountWei }(amountWei);
    }

    function weightCap() internal view virtual returns (uint32) {
        return 100;
    }

    function admit(uint256 i) internal {
        address participant = worker(i);
        uint32 cap = weightCap();
        vm.prank(OPERATOR);
        ledger.admit(participant, cap);
    }

    function register(uint256 i) internal {
        vm.deal(worker(i), depositWei);
        vm.prank(worker(i));
        ledger.register{ value: depositWei }(payoutOf(i));
    }

    function suspend(uint256 i) internal {
        vm.prank(OPERATOR);
        ledger.suspend(worker(i));
    }

    function join(uint256 count) internal {
        for (uint256 i; i < count; ++i) {
            admit(i);
            register(i);
        }
    }

    function bond(address account, uint256 amountWei) internal {
        vm.deal(account, account.balance + amountWei);
        vm.prank(account);
        ledger.depositBond{ value: amountWei }(amountWei);
    }

    // ------------------------------------------------------------------ rounds

    function latest() internal view returns (uint32) {
        return ledger.runState().latest;
    }

    function round() internal view returns (Round memory) {
        return ledger.roundOf(latest());
    }

    /// @notice Opens round 1 for `count` registered participants.
    function open(uint256 count) internal {
        fund(POOL);
        bond(AGGREGATOR, 100 * ledger.policy().bondWei);
        join(count);
        ledger.openRound();
    }

    function baseRoot() internal view returns (bytes32) {
        return ledger.modelRootOf(round().baseRound);
    }

    function sealedRoot(uint256 i) internal view virtual returns (bytes32) {
        return keccak256(abi.encode(latest(), i));
    }

    function weightOf(uint256 i) internal view virtual returns (uint32) {
        return uint32(1 + (i % 10));
    }

    function submit(uint256 i) internal {
        uint32 number = latest();
        bytes32 base = baseRoot();
        bytes32 root = sealedRoot(i);
        vm.prank(worker(i));
        ledger.submit(number, base, root, weightOf(i));
    }

    function submitAll(uint256 count) internal {
        for (uint256 i; i < count; ++i) {
            submit(i);
        }
    }

    /// @notice Opens round 1 and lets `count` participants complete it.
    function close(uint256 count) internal {
        open(count);
        submitAll(count);
    }

    function sums(uint256 count) internal pure returns (bytes32[] memory roots) {
        roots = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            roots[i] = keccak256(abi.encode("sum", i));
        }
    }

    function modelRoot(uint32 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("model", number));
    }

    /// @notice Posts the latest round as `poster`, with at most eight submissions and these exclusions.
    function post(address poster, Exclusion[] memory exclusions) internal {
        uint32 number = latest();
        bytes32 digest = ledger.digestOf(number);
        vm.prank(poster);
        ledger.post(number, digest, exclusions, sums(1), 0, 0, modelRoot(number));
    }

    function post() internal {
        post(AGGREGATOR, new Exclusion[](0));
    }

    /// @notice Excludes participant `i`, which submitted as number `index` to the latest round.
    function excluding(uint256 i, uint16 index, uint8 reason) internal view returns (Exclusion memory) {
        return Exclusion(index, reason, weightOf(i), worker(i), sealedRoot(i));
    }

    function only(Exclusion memory one) internal pure returns (Exclusion[] memory list) {
        list = new Exclusion[](1);
        list[0] = one;
    }

    function pass(uint256 periodSeconds) internal {
        vm.warp(block.timestamp + periodSeconds);
    }

    function leaf(bytes32 root, uint32 weight, address participant) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x02), root, uint64(weight), participant));
    }

    function startDigest(uint32 number, bytes32 base) internal view returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x06), uint64(block.chainid), address(ledger), uint64(number), base));
    }

    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return value >= low && value <= high ? value : low + value % (high - low + 1);
    }

    function expectError(bytes memory data) internal {
        vm.expectRevert(data);
    }

    function expectEvent() internal {
        vm.expectEmit(address(ledger));
    }
}
