// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IChallengeVerifier } from "./interfaces/IChallengeVerifier.sol";
import {
    ApplyProof,
    ITrainingLedger,
    Opening,
    Policy,
    RangeProof,
    Round,
    SumProof
} from "./interfaces/ITrainingLedger.sol";
import { Chunks } from "./libraries/Chunks.sol";
import { Lanes } from "./libraries/Lanes.sol";
import { PartialSums } from "./libraries/PartialSums.sol";
import { Seals } from "./libraries/Seals.sol";

/// @title ChallengeVerifier
/// @notice What decides challenges.
/// @dev Every length follows from what the ledger stores and the calldata ends with the proof, so that a proof has one form.
contract ChallengeVerifier is IChallengeVerifier {
    /// @dev The selector, the round, the proof's offset.
    uint256 private constant HEAD_BYTES = 4 + 2 * 32;

    /// @dev Of the deployment, as the ledger's own, whatever a fork of the chain calls itself later.
    uint64 internal immutable CHAIN_ID = uint64(block.chainid);

    // ------------------------------------------------------------------ challenges

    /// @inheritdoc IChallengeVerifier
    function challengeSum(uint32 round, SumProof calldata proof) external view {
        _checkList(round, proof.partialSumRoots);
        uint256 depth = _depthFor(proof.chunk);
        bytes32[] memory roots = _summands(round, proof);
        _checkSumLengths(proof, roots.length, depth);

        for (uint256 i; i < roots.length; ++i) {
            bytes32 chunkHash = Chunks.hashAt(proof.chunks, i * Chunks.BYTES);
            _checkPath("paths", chunkHash, proof.chunk, proof.paths[i * depth:(i + 1) * depth], roots[i]);
        }
        _checkPath("path", proof.chunkHash, proof.chunk, proof.path, proof.partialSumRoots[proof.index]);

        if (Chunks.hashOf(Lanes.sum(proof.chunks)) == proof.chunkHash) revert ITrainingLedger.NothingWrong();
    }

    /// @inheritdoc IChallengeVerifier
    function challengeRange(uint32 round, RangeProof calldata proof) external view virtual {
        uint16 submissions = _ledger().roundOf(round).submissions;
        if (proof.index >= submissions) revert ITrainingLedger.IndexOutOfBounds(proof.index, submissions);
        if (_ledger().isExcluded(round, proof.index)) revert ITrainingLedger.NotIncluded(round, proof.index);
        if (proof.lane >= Chunks.LANES) revert ITrainingLedger.LaneOutOfBounds(proof.lane);
        uint256 depth = _depthFor(proof.chunk);
        _checkLength("content", proof.content.length, Chunks.BYTES);
        _checkLength("path", proof.path.length, depth);
        _checkLength("calldata", msg.data.length, HEAD_BYTES + 11 * 32 + Chunks.BYTES + 32 * depth);

        _checkOpening(round, proof.index, proof.opening);
        bytes32 chunkHash = Chunks.hashAt(proof.content, 0);
        _checkPath("path", chunkHash, proof.chunk, proof.path, proof.opening.vectorRoot);

        int256 lane = Lanes.laneAt(proof.content, proof.lane);
        int256 most = int256(uint256(_ledger().policy().clipLanes) * proof.opening.weight);
        bool isPadding = proof.chunk * Chunks.LANES + proof.lane >= _ledger().definition().dimension;
        bool isWrong = isPadding ? lane != 0 : lane > most || lane < -most;
        if (!isWrong) revert ITrainingLedger.NothingWrong();
    }

    /// @inheritdoc IChallengeVerifier
    function challengeApply(uint32 round, ApplyProof calldata proof) external view {
        _checkList(round, proof.partialSumRoots);
        uint256 depth = _depthFor(proof.chunk);
        _checkApplyLengths(proof, depth);

        bytes32 baseRoot = _ledger().modelRootOf(_ledger().roundOf(round).baseRound);
        bytes32 totalRoot = proof.partialSumRoots[proof.partialSumRoots.length - 1];
        bytes32 modelRoot = _ledger().modelRootOf(round);
        _checkPath("basePath", Chunks.hashAt(proof.baseContent, 0), proof.chunk, proof.basePath, baseRoot);
        _checkPath("totalPath", Chunks.hashAt(proof.totalContent, 0), proof.chunk, proof.totalPath, totalRoot);
        _checkPath("modelPath", proof.modelChunkHash, proof.chunk, proof.modelPath, modelRoot);

        if (_appliedHash(round, proof) == proof.modelChunkHash) revert ITrainingLedger.NothingWrong();
    }

    // ------------------------------------------------------------------ inside: what is added and applied

    /// @dev The vector roots of what a listed sum adds up, without the excluded.
    function _summands(uint32 round, SumProof calldata proof) internal view virtual returns (bytes32[] memory roots) {
        uint256 listed = proof.partialSumRoots.length;
        if (proof.index >= listed) revert ITrainingLedger.IndexOutOfBounds(proof.index, uint16(listed));
        (bool isFirstLevel, uint256 first, uint256 last) =
            PartialSums.summands(proof.index, _ledger().roundOf(round).submissions);
        if (isFirstLevel) return _openedRoots(round, proof.openings, first, last);

        _checkLength("openings", proof.openings.length, 0);
        roots = new bytes32[](last - first);
        for (uint256 i; i < roots.length; ++i) {
            roots[i] = proof.partialSumRoots[first + i];
        }
    }

    function _openedRoots(uint32 round, Opening[] calldata openings, uint256 first, uint256 last)
        internal
        view
        returns (bytes32[] memory roots)
    {
        uint16[] memory included = new uint16[](last - first);
        uint256 count;
        for (uint256 index = first; index < last; ++index) {
            if (!_ledger().isExcluded(round, uint16(index))) included[count++] = uint16(index);
        }
        _checkLength("openings", openings.length, count);

        roots = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            _checkOpening(round, included[i], openings[i]);
            roots[i] = openings[i].vectorRoot;
        }
    }

    function _appliedHash(uint32 round, ApplyProof calldata proof) private view returns (bytes32) {
        Policy memory policy = _ledger().policy();
        uint256 divisor = uint256(_ledger().postingOf(round).includedWeight) << policy.scaleBits;
        return Chunks.hashOf(Lanes.applied(proof.baseContent, proof.totalContent, policy.fractionBits, divisor));
    }

    // ------------------------------------------------------------------ inside: checks

    function _ledger() internal view returns (ITrainingLedger) {
        return ITrainingLedger(msg.sender);
    }

    function _checkList(uint32 round, bytes32[] calldata partialSumRoots) internal view {
        bytes32 given = Seals.sumsHash(partialSumRoots);
        bytes32 expected = _ledger().sumsHashOf(round);
        if (given != expected) revert ITrainingLedger.WrongPartialSums(given, expected);
    }

    function _checkOpening(uint32 round, uint16 index, Opening calldata opening) internal view {
        bytes32 sealedRoot = Seals.sealedRoot(opening, CHAIN_ID, msg.sender, round);
        bytes32 leaf = Seals.leaf(sealedRoot, opening.weight, opening.participant);
        if (leaf != _ledger().leafOf(round, index)) revert ITrainingLedger.LeafMismatch(round, index);
    }

    /// @dev The length of every path, if there is such a chunk.
    function _depthFor(uint64 chunk) internal view returns (uint256 depth) {
        depth = Chunks.depthOf(_ledger().definition().dimension);
        if (chunk >> depth != 0) revert ITrainingLedger.ChunkOutOfBounds(chunk, 1 << depth);
    }

    function _checkSumLengths(SumProof calldata proof, uint256 summands, uint256 depth) private pure {
        _checkLength("chunks", proof.chunks.length, summands * Chunks.BYTES);
        _checkLength("paths", proof.paths.length, summands * depth);
        _checkLength("path", proof.path.length, depth);
        uint256 words = 13 + proof.partialSumRoots.length + 4 * proof.openings.length + (summands + 1) * depth;
        _checkLength("calldata", msg.data.length, HEAD_BYTES + 32 * words + summands * Chunks.BYTES);
    }

    function _checkApplyLengths(ApplyProof calldata proof, uint256 depth) private pure {
        _checkLength("baseContent", proof.baseContent.length, Chunks.BYTES);
        _checkLength("basePath", proof.basePath.length, depth);
        _checkLength("totalContent", proof.totalContent.length, Chunks.BYTES);
        _checkLength("totalPath", proof.totalPath.length, depth);
        _checkLength("modelPath", proof.modelPath.length, depth);
        uint256 words = 14 + proof.partialSumRoots.length + 3 * depth;
        _checkLength("calldata", msg.data.length, HEAD_BYTES + 32 * words + 2 * Chunks.BYTES);
    }

    function _checkLength(string memory field, uint256 given, uint256 expected) internal pure {
        if (given != expected) revert ITrainingLedger.WrongLength(field, given, expected);
    }

    function _checkPath(
        string memory field,
        bytes32 chunkHash,
        uint256 chunk,
        bytes32[] calldata path,
        bytes32 expected
    ) internal pure {
        bytes32 given = Chunks.rootOf(chunkHash, chunk, path);
        if (given != expected) revert ITrainingLedger.PathMismatch(field, given, expected);
    }
}
