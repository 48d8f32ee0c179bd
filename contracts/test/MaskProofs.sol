// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Masks } from "../libraries/Masks.sol";
import "./MaskedTest.sol";

/// @notice Round 1 of six members under real masks: number 1 is left out, number 5 never submitted; and every proof of it.
abstract contract MaskProofs is MaskedTest {
    using Vectors for bytes;

    uint256 internal constant MEMBERS = 6;
    uint256 internal constant SUBMITTING = 5;
    uint256 internal constant LEFT_OUT = 1;
    uint256 internal constant STAYING = 4;
    uint256 internal constant TERMS = STAYING + 2 * STAYING;

    bytes32[] internal listed;

    function roundKeyOf(uint256 i) internal view override returns (bytes32) {
        return Masks.x25519(privateKeyOf(i), bytes32(uint256(9) << 248));
    }

    // ------------------------------------------------------------------ who is who

    /// @notice The participant whose submission is the `number`th of those that stay.
    function survivor(uint256 number) internal pure returns (uint256) {
        return number < LEFT_OUT ? number : number + 1;
    }

    function departedOne(uint256 number) internal pure returns (uint256) {
        return number == 0 ? LEFT_OUT : SUBMITTING;
    }

    function owner(uint256 number) internal pure returns (uint256) {
        return number < STAYING ? survivor(number) : departedOne(number - STAYING);
    }

    function exclusions() internal view returns (Exclusion[] memory) {
        return only(
            Exclusion(
                uint16(LEFT_OUT), 1, weightOf(LEFT_OUT), worker(LEFT_OUT), seal(opening(LEFT_OUT, update(LEFT_OUT)), 1)
            )
        );
    }

    function departed() internal view returns (Departed memory) {
        return Departed(exclusions(), people(SUBMITTING, MEMBERS));
    }

    function leafOf(uint256 i) internal view returns (LeafOpening memory) {
        return LeafOpening(seal(opening(i, update(i)), 1), weightOf(i), worker(i));
    }

    // ------------------------------------------------------------------ masks, as the protocol says

    function keySeedOf(uint256 i) internal pure override returns (bytes16) {
        return bytes16(keccak256(abi.encode("key seed", i)));
    }

    function maskSeedOf(uint256 i) internal pure override returns (bytes16) {
        return bytes16(keccak256(abi.encode("mask seed", i)));
    }

    function context() internal view returns (bytes32) {
        bytes memory place = abi.encodePacked(uint64(block.chainid), address(ledger), uint64(1));
        return sha256(abi.encodePacked("fl_chain/masking/1", place, ledger.modelRootOf(0)));
    }

    function privateKeyOf(uint256 i) internal view returns (bytes32) {
        return Masks.derived(abi.encodePacked(keySeedOf(i)), context(), "fl_chain/masking/1/round key");
    }

    function ownKey(uint256 i) internal view returns (bytes32) {
        bytes memory info = abi.encodePacked("fl_chain/masking/1/self mask", worker(i), worker(i));
        return Masks.derived(abi.encodePacked(maskSeedOf(i)), context(), info);
    }

    function pairKey(uint256 i, uint256 k) internal view returns (bytes32) {
        bytes32 secret = Masks.x25519(privateKeyOf(i), roundKeyOf(k));
        (address low, address high) = worker(i) < worker(k) ? (worker(i), worker(k)) : (worker(k), worker(i));
        bytes memory info = abi.encodePacked("fl_chain/masking/1/pair mask", low, high);
        return Masks.derived(abi.encodePacked(secret), context(), info);
    }

    function maskLanes(bytes32 key, bool isNegative) internal view returns (bytes memory vector) {
        for (uint64 chunk; chunk * 1024 < dimension; ++chunk) {
            uint256 left = dimension - chunk * 1024;
            vector = bytes.concat(vector, Masks.stream(key, chunk, isNegative, left < 1024 ? left : 1024));
        }
        vector = Vectors.resized(vector, paddedLanes() * 4);
    }

    /// @notice What takes a mask off the sum: for each who stays its own, for each other what those who stay put on for it.
    function term(uint256 number) internal view returns (bytes memory) {
        if (number < STAYING) return maskLanes(ownKey(survivor(number)), true);
        uint256 gone = departedOne(number / STAYING - 1);
        uint256 peer = survivor(number % STAYING);
        // The one with the higher address took it off; so it is put back.
        return maskLanes(pairKey(gone, peer), worker(peer) < worker(gone));
    }

    /// @notice An update under all its masks.
    function maskedUpdate(uint256 i) internal view returns (bytes memory vector) {
        bytes[] memory parts = new bytes[](MEMBERS + 1);
        parts[0] = update(i);
        for (uint256 k; k < MEMBERS; ++k) {
            parts[1 + k] = i == k ? maskLanes(ownKey(i), false) : maskLanes(pairKey(i, k), worker(i) > worker(k));
        }
        return Vectors.sum(parts, 0, parts.length);
    }

    // ------------------------------------------------------------------ the round

    function theSeeds() internal view returns (bytes16[] memory) {
        return seedsOf(MEMBERS, SUBMITTING, exclusions());
    }

    /// @dev What is submitted is not masked: only `maskedUpdate` is, where sums are what is tested.
    function closeUp() internal {
        openMasked(MEMBERS);
        setUpAll(MEMBERS);
        bytes32 root = baseRoot();
        for (uint256 i; i < SUBMITTING; ++i) {
            bytes32 sealedOne = seal(opening(i, update(i)), 1);
            vm.prank(worker(i));
            ledger.submit(1, root, sealedOne, weightOf(i));
        }
        pass(100);
        ledger.closeRound(1);
        pass(20);
        fix(AGGREGATOR, exclusions(), people(SUBMITTING, MEMBERS));
    }

    /// @notice Posts these seeds and terms, with sums and a model that are none.
    function postTerms(bytes16[] memory seeds, bytes32[] memory terms) internal {
        publish(AGGREGATOR, seeds);
        listed = Vectors.joined(terms, sums(listLength(SUBMITTING + TERMS)));
        postRoots(AGGREGATOR, exclusions(), listed, "model");
    }

    // ------------------------------------------------------------------ proofs

    function seedProof(uint256 number, bytes16[] memory seeds) internal view returns (SeedProof memory proof) {
        proof.number = uint16(number);
        proof.seeds = seeds;
        proof.departed = departed();
        proof.setUps = setUpDigests(MEMBERS);
        proof.owner = setUpOf(owner(number));
        if (number < STAYING) proof.leaf = leafOf(owner(number));
    }

    /// @param vector the term's lanes as they were posted.
    function maskProof(uint256 number, uint256 chunk, bytes memory vector)
        internal
        view
        returns (MaskProof memory proof)
    {
        proof.term = uint16(number);
        proof.chunk = uint64(chunk);
        proof.chunkHash = vector.chunkHash(chunk);
        proof.path = vector.path(chunk);
        proof.partialSumRoots = listed;
        proof.seeds = theSeeds();
        proof.departed = departed();
        proof.setUps = setUpDigests(MEMBERS);
        uint256 peer = survivor(number < STAYING ? number : number % STAYING);
        proof.owner = setUpOf(number < STAYING ? peer : departedOne(number / STAYING - 1));
        proof.peer = setUpOf(peer);
        proof.leaf = leafOf(peer);
    }
}
