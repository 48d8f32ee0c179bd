// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IMaskedLedger } from "../interfaces/IMaskedLedger.sol";
import {
    Departed,
    ISecureAggregation,
    KeyRing,
    LeafOpening,
    MaskProof,
    SeedProof,
    SetUp,
    SignedSetUp,
    Survivors
} from "../interfaces/ISecureAggregation.sol";
import "./ChallengeTest.sol";

/// @notice A deployed masked ledger with its masks, and the shortest way to each step of a masked round.
abstract contract MaskedTest is ChallengeTest {
    string internal constant LEDGER_ARTIFACT = "../fl_chain/ledger/artifacts/MaskedLedger.json";
    string internal constant MASKS_ARTIFACT = "../fl_chain/ledger/artifacts/SecureAggregation.json";
    /// @dev Of the submission period of 100 seconds.
    uint256 internal constant KEYS_SECONDS = 25;

    ISecureAggregation internal masks;
    Exclusion[] internal nobody;
    address[] internal none;

    function rules() internal view virtual override returns (Policy memory policy) {
        policy = super.rules();
        policy.quorum = 3;
        policy.aggregation = AggregationKind.MaskedSums;
    }

    // ------------------------------------------------------------------ deployment

    /// @dev The masks first, for the deployer's next contract.
    function create(RunDefinition memory run, Policy memory policy, address aggregator, address token)
        internal
        virtual
        override
        returns (ITrainingLedger)
    {
        address place = vm.computeCreateAddress(OPERATOR, vm.getNonce(OPERATOR) + 1);
        masks = ISecureAggregation(createFrom(MASKS_ARTIFACT, abi.encode(place, groupCount())));
        bytes memory arguments = abi.encode(run, policy, aggregator, token, masks);
        return ITrainingLedger(createFrom(LEDGER_ARTIFACT, arguments));
    }

    /// @dev Into how many groups rounds are drawn; zero for one sum.
    function groupCount() internal view virtual returns (uint16) {
        return 0;
    }

    function masked() internal view returns (IMaskedLedger) {
        return IMaskedLedger(address(ledger));
    }

    // ------------------------------------------------------------------ keys

    function identityKeyOf(uint256 i) internal pure returns (bytes32) {
        return keccak256(abi.encode("identity key", i));
    }

    function keySeedOf(uint256 i) internal view virtual returns (bytes16) {
        return bytes16(keccak256(abi.encode("key seed", latest(), i)));
    }

    function maskSeedOf(uint256 i) internal view virtual returns (bytes16) {
        return bytes16(keccak256(abi.encode("mask seed", latest(), i)));
    }

    function roundKeyOf(uint256 i) internal view virtual returns (bytes32) {
        return keccak256(abi.encode("round key", latest(), i));
    }

    function commitment(bytes16 seed) internal pure returns (bytes32) {
        return sha256(abi.encodePacked("fl_chain/masking/seed", bytes1(0), seed));
    }

    function setUpOf(uint256 i) internal view returns (SetUp memory) {
        return SetUp({
            participant: worker(i),
            roundKey: roundKeyOf(i),
            keyCommitment: commitment(keySeedOf(i)),
            maskCommitment: commitment(maskSeedOf(i)),
            sharesHash: keccak256(abi.encode("shares", i))
        });
    }

    function setUpDigest(SetUp memory one) internal pure returns (bytes32) {
        bytes memory keys = abi.encodePacked(one.roundKey, one.keyCommitment, one.maskCommitment, one.sharesHash);
        return sha256(abi.encodePacked(bytes1(0x09), one.participant, keys));
    }

    function linked(bytes32 ring, bytes32 digest) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x08), ring, digest));
    }

    function setUpDigests(uint256 count) internal view returns (bytes32[] memory digests) {
        digests = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            digests[i] = setUpDigest(setUpOf(i));
        }
    }

    function identify(uint256 i) internal {
        vm.prank(worker(i));
        masks.setIdentityKey(identityKeyOf(i));
    }

    /// @dev The arguments come first: hashes are calls, and none may come between the prank and the call that is meant.
    function setUpAs(address signer, uint32 number, SetUp memory one) internal {
        vm.prank(signer);
        masks.setUpKeys(number, one.roundKey, one.keyCommitment, one.maskCommitment, one.sharesHash);
    }

    function setUpKeys(uint256 i) internal {
        setUpAs(worker(i), latest(), setUpOf(i));
    }

    function setUpAll(uint256 count) internal {
        for (uint256 i; i < count; ++i) {
            setUpKeys(i);
        }
    }

    function refuseSetUp(bytes memory reason, uint256 i) internal {
        refuseSetUp(reason, worker(i), latest(), setUpOf(i));
    }

    function refuseSetUp(bytes memory reason, address signer, uint32 number, SetUp memory one) internal {
        vm.prank(signer);
        expectError(reason);
        masks.setUpKeys(number, one.roundKey, one.keyCommitment, one.maskCommitment, one.sharesHash);
    }

    // ------------------------------------------------------------------ graphs

    /// @notice Draws the latest round's graph, a block after the newest identity key.
    function draw() internal {
        uint32 number = latest();
        vm.roll(block.number + 1);
        vm.prank(STRANGER);
        masks.drawGraph(number);
    }

    function refuseDraw(bytes memory reason, uint32 number) internal {
        vm.prank(STRANGER);
        expectError(reason);
        masks.drawGraph(number);
    }

    /// @notice The order of a graph's ring as the protocol draws it, written apart from the contract's library.
    function ringFrom(bytes16 seed, uint256 vertices) internal pure returns (uint256[] memory ring) {
        ring = new uint256[](vertices);
        for (uint256 i; i < vertices; ++i) {
            ring[i] = i;
        }
        for (uint256 number; number + 1 < vertices; ++number) {
            bytes32 drawn = sha256(abi.encodePacked(bytes1(0x0a), seed, uint64(number / 8 * 8)));
            uint256 last = vertices - number - 1;
            uint256 chosen = uint256(uint32(uint256(drawn) >> 32 * (number % 8))) % (last + 1);
            (ring[chosen], ring[last]) = (ring[last], ring[chosen]);
        }
    }

    /// @notice Whom a participant shares masks with in a ring, in the order of their places.
    function aroundIn(uint256[] memory ring, uint256 reach, uint256 i) internal pure returns (uint256[] memory around) {
        uint256 place;
        while (ring[place] != i) ++place;
        around = new uint256[](2 * reach);
        for (uint256 step; step < reach; ++step) {
            around[step] = ring[(place + ring.length - reach + step) % ring.length];
            around[reach + step] = ring[(place + 1 + step) % ring.length];
        }
    }

    /// @notice The ring of the latest round.
    function graphRing() internal view returns (uint256[] memory) {
        KeyRing memory keys = masks.keyRingOf(latest());
        return ringFrom(keys.seed, keys.vertices);
    }

    // ------------------------------------------------------------------ rounds

    /// @notice Opens round 1 for `count` participants with identity keys.
    function openMasked(uint256 count) internal {
        open(count);
        for (uint256 i; i < count; ++i) {
            identify(i);
        }
    }

    /// @notice Closes round 1, to which the first `submitting` of `count` members submit.
    function closeMasked(uint256 count, uint256 submitting) internal {
        openMasked(count);
        closeLatest(count, submitting);
    }

    function closeLatest(uint256 count, uint256 submitting) internal {
        if (count > 64 && masks.keyRingOf(latest()).vertices == 0) draw();
        setUpAll(count);
        if (!masks.keyRingOf(latest()).isComplete) pass(KEYS_SECONDS);
        submitAll(submitting);
        if (round().status == RoundStatus.Open) {
            pass(rules().submissionSeconds);
            ledger.closeRound(latest());
        }
    }

    /// @notice Participants `first` to `last - 1`, ascending by address.
    function people(uint256 first, uint256 last) internal pure returns (address[] memory list) {
        list = new address[](last - first);
        for (uint256 i = first; i < last; ++i) {
            list[i - first] = worker(i);
        }
    }

    function fix(address sender, Exclusion[] memory exclusions, address[] memory absentees) internal {
        uint32 number = latest();
        bytes32 digest = ledger.digestOf(number);
        vm.prank(sender);
        masks.fixSurvivors(number, digest, exclusions, absentees);
    }

    function refuseFix(bytes memory reason, address sender, Exclusion[] memory exclusions, address[] memory absentees)
        internal
    {
        uint32 number = latest();
        bytes32 digest = ledger.digestOf(number);
        vm.prank(sender);
        expectError(reason);
        masks.fixSurvivors(number, digest, exclusions, absentees);
    }

    /// @notice Of those who stay, in the order of their submissions, and then of the others.
    function seedsOf(uint256 count, uint256 submitting, Exclusion[] memory exclusions)
        internal
        view
        returns (bytes16[] memory seeds)
    {
        seeds = new bytes16[](count);
        uint256 at;
        uint256 left;
        for (uint256 i; i < submitting; ++i) {
            if (left < exclusions.length && exclusions[left].index == i) ++left;
            else seeds[at++] = maskSeedOf(i);
        }
        for (uint256 k; k < exclusions.length; ++k) {
            seeds[at++] = keySeedOf(exclusions[k].index);
        }
        for (uint256 i = submitting; i < count; ++i) {
            seeds[at++] = keySeedOf(i);
        }
    }

    function publish(address sender, bytes16[] memory seeds) internal {
        uint32 number = latest();
        vm.prank(sender);
        masks.publishSeeds(number, seeds);
    }

    function postRoots(address poster, Exclusion[] memory exclusions, bytes32[] memory roots, bytes32 model) internal {
        uint32 number = latest();
        bytes32 digest = ledger.digestOf(number);
        vm.prank(poster);
        ledger.post(number, digest, exclusions, roots, 0, 0, model);
    }

    function termCount(uint256 count, uint256 survivors) internal pure returns (uint256) {
        return survivors + (count - survivors) * survivors;
    }

    /// @notice Posts round 1 of `count` members, of whom the first `submitting` submitted and stay; its roots are no sums.
    function postMasked(uint256 count, uint256 submitting) internal {
        closeMasked(count, submitting);
        postLatest(AGGREGATOR, count, submitting);
    }

    function postLatest(address poster, uint256 count, uint256 submitting) internal {
        if (masks.survivorsOf(latest()).members == 0) fix(poster, nobody, people(submitting, count));
        publish(poster, seedsOf(count, submitting, nobody));
        uint256 terms = termCount(count, submitting);
        postRoots(poster, nobody, sums(terms + listLength(submitting + terms)), modelRoot(latest()));
    }

    /// @notice Void for want of a posting; the next round is open.
    function letLapse() internal {
        uint32 number = latest();
        pass(rules().postingSeconds + rules().takeoverSeconds);
        ledger.voidRound(number);
    }
}
