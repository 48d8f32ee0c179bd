// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ChallengeVerifier } from "./ChallengeVerifier.sol";
import { MaskState } from "./MaskState.sol";
import { IChallengeVerifier } from "./interfaces/IChallengeVerifier.sol";
import { IMaskChallenges } from "./interfaces/IMaskChallenges.sol";
import {
    Departed,
    ISecureAggregation,
    KeyRing,
    LeafOpening,
    MaskProof,
    SeedProof,
    SetUp,
    Survivors
} from "./interfaces/ISecureAggregation.sol";
import { AggregationKind, Exclusion, ITrainingLedger, RangeProof, SumProof } from "./interfaces/ITrainingLedger.sol";
import { Chunks } from "./libraries/Chunks.sol";
import { Graphs } from "./libraries/Graphs.sol";
import { Masks } from "./libraries/Masks.sol";
import { PartialSums } from "./libraries/PartialSums.sol";
import { Seals } from "./libraries/Seals.sol";

/// @title MaskChallenges
/// @notice What decides challenges of a masked run.
/// @dev Warning: it has no state of its own. `SecureAggregation`, which creates it, runs this code on its own.
contract MaskChallenges is MaskState, ChallengeVerifier, IMaskChallenges {
    constructor(address maskedLedger, uint16 groups) MaskState(maskedLedger, groups) { }

    // ------------------------------------------------------------------ challenges

    /// @inheritdoc IChallengeVerifier
    function challengeRange(uint32, RangeProof calldata) external pure override {
        revert ITrainingLedger.NoSuchChallenge(AggregationKind.MaskedSums);
    }

    /// @inheritdoc IMaskChallenges
    function challengeSeed(uint32 round, SeedProof calldata proof) external view {
        _checkPublished(round, proof.seeds, proof.departed, proof.setUps);
        uint256 survivors = _survivors[round].survivors;
        if (proof.number >= proof.seeds.length) {
            revert ITrainingLedger.IndexOutOfBounds(proof.number, uint16(proof.seeds.length));
        }
        bool isSurvivor = proof.number < survivors;
        address owner = isSurvivor
            ? _survivor(round, proof.number, proof.departed.exclusions, proof.leaf)
            : _departed(proof.number - survivors, proof.departed.exclusions, proof.departed.absentees);
        _checkSetUp(proof.owner, owner, proof.setUps);
        // Of a group that does not stay nobody releases a seed, so that zero stands for each.
        bool isBlank = GROUPS != 0 && proof.seeds[proof.number] == 0;
        if (isBlank && !isSurvivor && !_isOfStayingGroup(round, owner)) revert ITrainingLedger.NothingWrong();

        bytes32 expected = isSurvivor ? proof.owner.maskCommitment : proof.owner.keyCommitment;
        if (Masks.commitment(proof.seeds[proof.number]) == expected) revert ITrainingLedger.NothingWrong();
    }

    /// @inheritdoc IMaskChallenges
    function challengeMask(uint32 round, MaskProof calldata proof) external view {
        _checkPublished(round, proof.seeds, proof.departed, proof.setUps);
        _checkList(round, proof.partialSumRoots);
        uint256 depth = _depthFor(proof.chunk);
        _checkLength("path", proof.path.length, depth);
        Survivors memory stayed = _survivors[round];
        if (proof.term >= stayed.terms) revert ITrainingLedger.IndexOutOfBounds(proof.term, stayed.terms);
        _checkPath("path", proof.chunkHash, proof.chunk, proof.path, proof.partialSumRoots[proof.term]);

        (bytes32 key, bool isNegative) = proof.term < stayed.survivors
            ? _ownMask(round, proof, proof.term)
            : _pairMask(round, proof, stayed.survivors);
        if (_maskHash(key, proof.chunk, isNegative) == proof.chunkHash) revert ITrainingLedger.NothingWrong();
    }

    // ------------------------------------------------------------------ inside: who is who

    /// @dev The participant whose submission is the `number`th of those that stay.
    function _survivor(uint32 round, uint256 number, Exclusion[] calldata exclusions, LeafOpening calldata leaf)
        private
        view
        returns (address)
    {
        uint256 index = number;
        for (uint256 i; i < exclusions.length && exclusions[i].index <= index; ++i) {
            ++index;
        }
        bytes32 expected = LEDGER.leafOf(round, uint16(index));
        if (Seals.leaf(leaf.sealedRoot, leaf.weight, leaf.participant) != expected) {
            revert ITrainingLedger.LeafMismatch(round, uint16(index));
        }
        return leaf.participant;
    }

    /// @dev Whether anybody of a member's group stays in the round.
    function _isOfStayingGroup(uint32 round, address member) private view returns (bool) {
        KeyRing memory ring = _rings[round];
        uint256[] memory order = Graphs.order(ring.seed, ring.vertices);
        uint256 own = Graphs.group(order[_memberships[member].vertex] >> 128, ring.vertices, GROUPS);
        for (uint256 place; place < order.length; ++place) {
            if (Graphs.group(place, ring.vertices, GROUPS) != own) continue;
            uint256 vertex = uint128(order[place]);
            if (_staying[round][vertex >> 8] >> (vertex & 0xff) & 1 == 1) return true;
        }
        return false;
    }

    // ------------------------------------------------------------------ inside: what a posting adds up

    /// @dev The list begins with the terms, which are summands after the submissions.
    function _summands(uint32 round, SumProof calldata proof) internal view override returns (bytes32[] memory roots) {
        uint256 listed = proof.partialSumRoots.length;
        uint256 terms = _survivors[round].terms;
        if (proof.index < terms || proof.index >= listed) {
            revert ITrainingLedger.IndexOutOfBounds(proof.index, uint16(listed));
        }
        uint256 submissions = LEDGER.roundOf(round).submissions;
        (bool isFirstLevel, uint256 first, uint256 last) =
            PartialSums.summands(proof.index - terms, submissions + terms);
        if (!isFirstLevel) {
            _checkLength("openings", proof.openings.length, 0);
            roots = new bytes32[](last - first);
            for (uint256 i; i < roots.length; ++i) {
                roots[i] = proof.partialSumRoots[terms + first + i];
            }
            return roots;
        }
        uint256 border = last < submissions ? last : submissions;
        bytes32[] memory opened = _openedRoots(round, proof.openings, first < border ? first : border, border);
        uint256 firstTerm = first < submissions ? 0 : first - submissions;
        roots = new bytes32[](opened.length + last - (first < border ? border : first));
        for (uint256 i; i < roots.length; ++i) {
            roots[i] = i < opened.length ? opened[i] : proof.partialSumRoots[firstTerm + i - opened.length];
        }
    }

    // ------------------------------------------------------------------ inside: masks

    function _ownMask(uint32 round, MaskProof calldata proof, uint256 number)
        private
        view
        returns (bytes32 key, bool isNegative)
    {
        address owner = _survivor(round, number, proof.departed.exclusions, proof.leaf);
        key = Masks.derived(
            abi.encodePacked(proof.seeds[number]), _context(round), abi.encodePacked(Masks.OWN, owner, owner)
        );
        isNegative = true;
    }

    function _pairMask(uint32 round, MaskProof calldata proof, uint256 survivors)
        private
        view
        returns (bytes32 key, bool isNegative)
    {
        KeyRing memory ring = _rings[round];
        uint256 number = proof.term / survivors - 1;
        address peer = proof.peer.participant;
        if (ring.vertices == 0) {
            peer = _survivor(round, proof.term % survivors, proof.departed.exclusions, proof.leaf);
        } else {
            uint256 vertex;
            (, number, vertex) =
                _pairs(round, ring, proof.departed.exclusions, proof.departed.absentees, proof.term - survivors);
            if (_memberships[peer].vertex != vertex) revert ISecureAggregation.NotTheVertex(peer, vertex);
        }
        address owner = _departed(number, proof.departed.exclusions, proof.departed.absentees);
        _checkSetUp(proof.peer, peer, proof.setUps);
        bytes32 context = _context(round);
        bytes32 privateKey =
            Masks.derived(abi.encodePacked(proof.seeds[survivors + number]), context, abi.encodePacked(Masks.ROUND));
        bytes32 secret = Masks.x25519(privateKey, proof.peer.roundKey);
        (address low, address high) = owner < peer ? (owner, peer) : (peer, owner);
        key = Masks.derived(abi.encodePacked(secret), context, abi.encodePacked(Masks.PAIR, low, high));
        // The survivor took it off its update if its address is the higher one: then the term puts it back.
        isNegative = peer < owner;
    }

    function _context(uint32 round) private view returns (bytes32) {
        bytes32 baseRoot = LEDGER.modelRootOf(LEDGER.roundOf(round).baseRound);
        return sha256(abi.encodePacked(Masks.TAG, CHAIN_ID, address(LEDGER), uint64(round), baseRoot));
    }

    /// @dev Lanes past the dimension are zero.
    function _maskHash(bytes32 key, uint64 chunk, bool isNegative) private view returns (bytes32) {
        uint256 dimension = LEDGER.definition().dimension;
        uint256 start = uint256(chunk) * Chunks.LANES;
        uint256 lanes = start >= dimension ? 0 : dimension - start;
        if (lanes == 0) return Chunks.hashOf(new bytes(Chunks.BYTES));
        return Chunks.hashOf(Masks.stream(key, chunk, isNegative, lanes < Chunks.LANES ? lanes : Chunks.LANES));
    }

    // ------------------------------------------------------------------ inside: checks

    function _checkPublished(
        uint32 round,
        bytes16[] calldata seeds,
        Departed calldata departed,
        bytes32[] calldata setUps
    ) private view {
        bytes32 given = keccak256(abi.encode(seeds));
        bytes32 expected = _seedsHashes[round][LEDGER.postingOf(round).poster];
        if (given != expected) revert ISecureAggregation.WrongSeeds(given, expected);
        Survivors memory stayed = _survivors[round];
        given = keccak256(abi.encode(departed.exclusions));
        if (given != stayed.exclusionsHash) revert ISecureAggregation.WrongDeparted(given, stayed.exclusionsHash);
        given = keccak256(abi.encode(departed.absentees));
        if (given != stayed.absenteesHash) revert ISecureAggregation.WrongDeparted(given, stayed.absenteesHash);
        given = bytes32(0);
        for (uint256 i; i < setUps.length; ++i) {
            given = _linked(given, setUps[i]);
        }
        if (given != _ringDigests[round]) revert ISecureAggregation.WrongRing(given, _ringDigests[round]);
    }

    function _checkSetUp(SetUp calldata one, address participant, bytes32[] calldata setUps) private pure {
        if (one.participant != participant) revert ISecureAggregation.WrongMember(one.participant, participant);
        bytes32 digest = _setUpDigest(one);
        for (uint256 i; i < setUps.length; ++i) {
            if (setUps[i] == digest) return;
        }
        revert ISecureAggregation.WrongRing(digest, bytes32(0));
    }
}
