// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ChallengeVerifier } from "./ChallengeVerifier.sol";
import { IChallengeVerifier } from "./interfaces/IChallengeVerifier.sol";
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
} from "./interfaces/ISecureAggregation.sol";
import {
    AggregationKind,
    Exclusion,
    ITrainingLedger,
    Policy,
    RangeProof,
    Round,
    RoundStatus,
    SumProof
} from "./interfaces/ITrainingLedger.sol";
import { Chunks } from "./libraries/Chunks.sol";
import { Masks } from "./libraries/Masks.sol";
import { PartialSums } from "./libraries/PartialSums.sol";
import { Seals } from "./libraries/Seals.sol";

/// @dev The ledger's views as far as they are needed here: what is not decoded takes no code.
interface ILedgerHead {
    function accountOf(address account) external view returns (uint128 freeBondWei);
    function seatOf(address signer) external view returns (address participant, uint32 lastSeen, uint32 barredFrom);
    function runState()
        external
        view
        returns (
            uint32 latest,
            uint32 settled,
            uint32 tip,
            uint32 lastClosed,
            uint32 active,
            uint32 endsAfter,
            uint40 endsAt,
            uint16 registered,
            address aggregator
        );
}

/// @title SecureAggregation
/// @notice The masks of one training run, and the verifier of its ledger.
contract SecureAggregation is ChallengeVerifier, ISecureAggregation {
    /// @dev The newest round that a participant set up keys for, and that it submitted to under masks.
    struct Membership {
        uint32 keyedIn;
        uint32 submittedTo;
        /// @dev Counted in the round's `joined`.
        bool isAwaited;
        bool hasIdentityKey;
    }

    /// @dev A signing key's slot of the ledger.
    struct Seat {
        address participant;
        uint32 lastSeen;
        uint32 barredFrom;
    }

    uint8 private constant REASON_UNREADABLE = 1;
    uint8 private constant REASON_BY_RULE = 3;
    /// @dev Of the submission period, for setting up keys.
    uint32 private constant KEYS_SHARE = 4;
    /// @dev `Seat.barredFrom` of a participant in good standing.
    uint32 private constant NEVER = type(uint32).max;
    /// @dev A posting with more could be so large that no challenge of it fits a transaction of 2^24 gas (EIP-7825).
    uint256 private constant MOST_TERMS = 8192;

    ITrainingLedger private immutable LEDGER;
    ILedgerHead private immutable HEAD;

    mapping(address participant => bytes32) private _identityKeys;
    mapping(address participant => Membership) private _memberships;
    mapping(uint256 round => KeyRing) private _rings;
    mapping(uint256 round => bytes32) private _ringDigests;
    mapping(uint256 round => Survivors) private _survivors;
    mapping(uint256 round => mapping(address poster => bytes32)) private _seedsHashes;
    /// @dev The newest round whose survivors an account fixed.
    mapping(address account => uint32) private _fixedIn;

    /// @param maskedLedger where the ledger will be: its deployer's next contract. The ledger refuses one of another.
    constructor(address maskedLedger) {
        LEDGER = ITrainingLedger(maskedLedger);
        HEAD = ILedgerHead(maskedLedger);
    }

    // ------------------------------------------------------------------ participants

    /// @inheritdoc ISecureAggregation
    function setIdentityKey(bytes32 key) external {
        address participant = LEDGER.identityOf(msg.sender);
        if (participant == address(0)) revert ITrainingLedger.NotRegistered(msg.sender);
        if (_identityKeys[participant] != 0) revert IdentityKeyFixed(participant);
        _checkKey(key);

        _identityKeys[participant] = key;
        _memberships[participant].hasIdentityKey = true;

        emit IdentityKeySet(participant, key);
    }

    /// @inheritdoc ISecureAggregation
    function setUpKeys(
        uint32 round,
        bytes32 roundKey,
        bytes32 keyCommitment,
        bytes32 maskCommitment,
        bytes32 sharesHash
    ) external {
        Seat memory seat = _seatOf(msg.sender);
        address participant = seat.participant;
        if (seat.barredFrom == 0) revert ITrainingLedger.NotRegistered(msg.sender);
        if (seat.barredFrom <= round) revert ITrainingLedger.ParticipantSuspendedFrom(participant, seat.barredFrom);
        (Round memory current, KeyRing memory ring) = _openRing(round);
        if (_memberships[participant].keyedIn == round) revert KeysAlreadySetUp(round, participant);

        SetUp memory own = SetUp(participant, roundKey, keyCommitment, maskCommitment, sharesHash);
        _join(round, current, ring, seat, own);
        _rings[round] = ring;
        _ringDigests[round] = _linked(_ringDigests[round], _setUpDigest(own));
    }

    /// @inheritdoc ISecureAggregation
    function setUpKeysOf(uint32 round, SignedSetUp[] calldata signed) external {
        (Round memory current, KeyRing memory ring) = _openRing(round);
        bytes32 digest = _ringDigests[round];

        for (uint256 i; i < signed.length && !ring.isComplete; ++i) {
            SetUp memory own = signed[i].setUp;
            bytes32 setUpDigest = _setUpDigest(own);
            Seat memory seat = _seatOf(_signer(_signedHash(round, setUpDigest), signed[i].r, signed[i].vs));
            bool isOwn = seat.participant == own.participant && seat.barredFrom > round;
            if (!isOwn || _memberships[own.participant].keyedIn == round) continue;
            _join(round, current, ring, seat, own);
            digest = _linked(digest, setUpDigest);
        }

        _ringDigests[round] = digest;
        _rings[round] = ring;
    }

    // ------------------------------------------------------------------ aggregators

    /// @inheritdoc ISecureAggregation
    function fixSurvivors(uint32 round, bytes32 digest, Exclusion[] calldata exclusions, address[] calldata absentees)
        external
    {
        Round memory current = LEDGER.roundOf(round);
        Policy memory policy = LEDGER.policy();
        if (_survivors[round].exclusionsHash != 0) revert SurvivorsAlreadyFixed(round);
        _checkTurn(round, current, policy, digest, exclusions.length);
        _checkExclusions(round, current.submissions, exclusions);
        uint16 members = _rings[round].members;
        _checkAbsentees(round, members - current.submissions, absentees);
        uint256 survivors = current.submissions - exclusions.length;
        uint256 needed = 2 * (uint256(members) - 1) / 3 + 1;
        if (needed < policy.quorum) needed = policy.quorum;
        if (survivors < needed) revert TooFewSurvivors(survivors, needed);
        uint256 terms = survivors + (members - survivors) * survivors;
        if (terms > MOST_TERMS) revert TooManyTerms(terms, MOST_TERMS);

        _fixedIn[msg.sender] = round;
        _survivors[round] = Survivors({
            exclusionsHash: keccak256(abi.encode(exclusions)),
            absenteesHash: keccak256(abi.encode(absentees)),
            members: members,
            submissions: current.submissions,
            survivors: uint16(survivors),
            terms: uint16(terms)
        });

        emit SurvivorsFixed(round, msg.sender, uint16(survivors), uint16(terms), exclusions, absentees);
    }

    /// @inheritdoc ISecureAggregation
    function publishSeeds(uint32 round, bytes16[] calldata seeds) external {
        RoundStatus status = LEDGER.roundOf(round).status;
        if (status != RoundStatus.Closed) revert ITrainingLedger.WrongStatus(round, status);
        Survivors memory stayed = _fixed(round);
        if (seeds.length != stayed.members) revert WrongSeedCount(seeds.length, stayed.members);

        _seedsHashes[round][msg.sender] = keccak256(abi.encode(seeds));

        emit SeedsPublished(round, msg.sender, seeds);
    }

    // ------------------------------------------------------------------ the ledger

    /// @inheritdoc ISecureAggregation
    function countOut(uint32 round, address participant) external {
        if (msg.sender != address(LEDGER)) revert NotTheLedger(msg.sender);
        Membership storage membership = _memberships[participant];
        if (membership.keyedIn != round || !membership.isAwaited) return;

        membership.isAwaited = false;
        _rings[round].joined--;
    }

    /// @inheritdoc ISecureAggregation
    function checkMember(uint32 round, address participant) external {
        if (msg.sender != address(LEDGER)) revert NotTheLedger(msg.sender);
        Membership storage membership = _memberships[participant];
        if (membership.keyedIn != round) revert NoKeysInRound(round, participant);
        KeyRing memory ring = _rings[round];
        if (!ring.isComplete && block.timestamp < ring.closeAt) revert KeysNotClosed(round, ring.closeAt);

        membership.submittedTo = round;
    }

    /// @inheritdoc ISecureAggregation
    function beforePosting(uint32 round, address poster, Exclusion[] calldata exclusions)
        external
        view
        returns (uint256)
    {
        Survivors memory stayed = _fixed(round);
        if (_seedsHashes[round][poster] == 0) revert NoSeeds(round, poster);
        bytes32 given = keccak256(abi.encode(exclusions));
        if (given != stayed.exclusionsHash) revert WrongDeparted(given, stayed.exclusionsHash);
        return stayed.terms + PartialSums.count(uint256(stayed.submissions) + stayed.terms);
    }

    // ------------------------------------------------------------------ challenges

    /// @inheritdoc IChallengeVerifier
    function challengeRange(uint32, RangeProof calldata) external pure override {
        revert ITrainingLedger.NoSuchChallenge(AggregationKind.MaskedSums);
    }

    /// @inheritdoc ISecureAggregation
    function challengeSeed(uint32 round, SeedProof calldata proof) external view {
        _checkPublished(round, proof.seeds, proof.departed, proof.setUps);
        uint256 survivors = _survivors[round].survivors;
        if (proof.number >= proof.seeds.length) {
            revert ITrainingLedger.IndexOutOfBounds(proof.number, uint16(proof.seeds.length));
        }
        bool isSurvivor = proof.number < survivors;
        address owner = isSurvivor
            ? _survivor(round, proof.number, proof.departed.exclusions, proof.leaf)
            : _departed(proof.number - survivors, proof.departed);
        _checkSetUp(proof.owner, owner, proof.setUps);

        bytes32 expected = isSurvivor ? proof.owner.maskCommitment : proof.owner.keyCommitment;
        if (Masks.commitment(proof.seeds[proof.number]) == expected) revert ITrainingLedger.NothingWrong();
    }

    /// @inheritdoc ISecureAggregation
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

    // ------------------------------------------------------------------ reading

    /// @inheritdoc ISecureAggregation
    function ledger() external view returns (address) {
        return address(LEDGER);
    }

    /// @inheritdoc ISecureAggregation
    function setUpHash(uint32 round, SetUp calldata setUp) external view returns (bytes32) {
        return _signedHash(round, _setUpDigest(setUp));
    }

    /// @inheritdoc ISecureAggregation
    function identityKeyOf(address participant) external view returns (bytes32) {
        return _identityKeys[participant];
    }

    /// @inheritdoc ISecureAggregation
    function keyRingOf(uint32 round) external view returns (KeyRing memory) {
        return _rings[round];
    }

    /// @inheritdoc ISecureAggregation
    function ringDigestOf(uint32 round) external view returns (bytes32) {
        return _ringDigests[round];
    }

    /// @inheritdoc ISecureAggregation
    function survivorsOf(uint32 round) external view returns (Survivors memory) {
        return _survivors[round];
    }

    /// @inheritdoc ISecureAggregation
    function seedsHashOf(uint32 round, address poster) external view returns (bytes32) {
        return _seedsHashes[round][poster];
    }

    // ------------------------------------------------------------------ inside: who is who

    function _seatOf(address signer) private view returns (Seat memory seat) {
        (seat.participant, seat.lastSeen, seat.barredFrom) = HEAD.seatOf(signer);
    }

    /// @dev Zero where it is no signature; nobody sits there.
    function _signer(bytes32 hash, bytes32 r, bytes32 vs) private pure returns (address) {
        bytes32 s = vs & bytes32(uint256(type(int256).max));
        return ecrecover(hash, uint8(27 + (uint256(vs) >> 255)), r, s);
    }

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

    function _departed(uint256 number, Departed calldata departed) private pure returns (address) {
        uint256 excluded = departed.exclusions.length;
        return number < excluded ? departed.exclusions[number].participant : departed.absentees[number - excluded];
    }

    function _fixed(uint32 round) private view returns (Survivors memory stayed) {
        stayed = _survivors[round];
        if (stayed.exclusionsHash == 0) revert SurvivorsNotFixed(round);
    }

    // ------------------------------------------------------------------ inside: who joins

    /// @dev The set-ups of an open round, while somebody may still join.
    function _openRing(uint32 round) private view returns (Round memory current, KeyRing memory ring) {
        current = LEDGER.roundOf(round);
        if (current.status != RoundStatus.Open) revert ITrainingLedger.WrongStatus(round, current.status);
        ring = _rings[round];
        if (ring.members == 0) ring.closeAt = current.since + LEDGER.policy().submissionSeconds / KEYS_SHARE;
        if (ring.isComplete || block.timestamp >= ring.closeAt) revert KeysClosed(round);
    }

    /// @dev Warning: changes `ring` in memory; the caller stores it, and links the set-up's digest to the ring's.
    function _join(uint32 round, Round memory current, KeyRing memory ring, Seat memory seat, SetUp memory own)
        private
    {
        Membership memory membership = _memberships[own.participant];
        if (!membership.hasIdentityKey) revert NoIdentityKey(own.participant);
        _checkKey(own.roundKey);

        bool isAwaited = seat.barredFrom == NEVER && seat.lastSeen >= current.lastClosed;
        uint16 index = ring.members++;
        if (isAwaited) ring.joined++;
        // Where nobody is expected, whoever comes has the whole quarter for it.
        bool haveAllJoined = ring.joined != 0 && ring.joined == current.remaining;
        ring.isComplete = haveAllJoined && ring.members >= LEDGER.policy().quorum;
        membership.keyedIn = round;
        membership.isAwaited = isAwaited;
        _memberships[own.participant] = membership;

        emit KeysSetUp(
            round, own.participant, index, own.roundKey, own.keyCommitment, own.maskCommitment, own.sharesHash
        );
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
        uint256 number = proof.term / survivors - 1;
        address owner = _departed(number, proof.departed);
        address peer = _survivor(round, proof.term % survivors, proof.departed.exclusions, proof.leaf);
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

    /// @dev What a participant signs: EIP-191, version 0.
    function _signedHash(uint32 round, bytes32 setUpDigest) private view returns (bytes32) {
        return keccak256(abi.encodePacked(bytes2(0x1900), address(this), CHAIN_ID, uint64(round), setUpDigest));
    }

    function _linked(bytes32 ring, bytes32 setUp) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x08), ring, setUp));
    }

    function _setUpDigest(SetUp memory one) private pure returns (bytes32) {
        return sha256(
            abi.encodePacked(
                bytes1(0x09), one.participant, one.roundKey, one.keyCommitment, one.maskCommitment, one.sharesHash
            )
        );
    }

    // ------------------------------------------------------------------ inside: checks

    function _checkTurn(
        uint32 round,
        Round memory current,
        Policy memory policy,
        bytes32 digest,
        uint256 exclusionCount
    ) private view {
        if (current.status != RoundStatus.Closed) {
            revert ITrainingLedger.WrongStatus(round, current.status);
        }
        bytes32 expected = LEDGER.digestOf(round);
        if (digest != expected) revert ITrainingLedger.WrongDigest(digest, expected);
        uint256 bondWei = HEAD.accountOf(msg.sender);
        if (bondWei < policy.bondWei) revert ITrainingLedger.BondTooSmall(bondWei, policy.bondWei);
        uint40 openToAllAt = current.since + policy.postingSeconds;
        uint40 deadline = openToAllAt + policy.takeoverSeconds;
        if (block.timestamp >= deadline) revert ITrainingLedger.DeadlinePassed(round, deadline);
        if (block.timestamp < openToAllAt && !_isFirst(msg.sender)) {
            revert ITrainingLedger.NotYourTurn(msg.sender, openToAllAt);
        }
        uint40 publishedAt = current.since + policy.publicationSeconds;
        if (exclusionCount != 0 && block.timestamp < publishedAt) {
            revert ITrainingLedger.ExclusionsTooEarly(publishedAt);
        }
    }

    /// @dev The named aggregator; everyone where what it fixed last came to nothing; never one of whom that is so.
    function _isFirst(address account) private view returns (bool) {
        (,, uint32 tip,,,,,, address aggregator) = HEAD.runState();
        if (_fixedIn[account] > tip) return false;
        return account == aggregator || _fixedIn[aggregator] > tip;
    }

    function _checkKey(bytes32 key) private pure {
        if (Masks.isLowOrder(key)) revert KeyOfLowOrder(key);
    }

    function _checkExclusions(uint32 round, uint16 submissions, Exclusion[] calldata exclusions) private view {
        for (uint256 i; i < exclusions.length; ++i) {
            Exclusion calldata one = exclusions[i];
            if (one.index >= submissions) revert ITrainingLedger.IndexOutOfBounds(one.index, submissions);
            if (i != 0 && one.index <= exclusions[i - 1].index) revert ITrainingLedger.ExclusionsNotAscending(i);
            if (one.reason != REASON_UNREADABLE && one.reason != REASON_BY_RULE) {
                revert ITrainingLedger.UnknownReason(one.reason);
            }
            if (Seals.leaf(one.sealedRoot, one.weight, one.participant) != LEDGER.leafOf(round, one.index)) {
                revert ITrainingLedger.LeafMismatch(round, one.index);
            }
        }
    }

    /// @dev Every submitter is a member, so that so many absentees are all.
    function _checkAbsentees(uint32 round, uint256 expected, address[] calldata absentees) private view {
        _checkLength("absentees", absentees.length, expected);
        address previous;
        for (uint256 i; i < absentees.length; ++i) {
            Membership memory membership = _memberships[absentees[i]];
            bool isAbsent = membership.keyedIn == round && membership.submittedTo != round;
            if (!isAbsent || absentees[i] <= previous) revert NotAbsent(absentees[i]);
            previous = absentees[i];
        }
    }

    function _checkPublished(
        uint32 round,
        bytes16[] calldata seeds,
        Departed calldata departed,
        bytes32[] calldata setUps
    ) private view {
        bytes32 given = keccak256(abi.encode(seeds));
        bytes32 expected = _seedsHashes[round][LEDGER.postingOf(round).poster];
        if (given != expected) revert WrongSeeds(given, expected);
        Survivors memory stayed = _survivors[round];
        given = keccak256(abi.encode(departed.exclusions));
        if (given != stayed.exclusionsHash) revert WrongDeparted(given, stayed.exclusionsHash);
        given = keccak256(abi.encode(departed.absentees));
        if (given != stayed.absenteesHash) revert WrongDeparted(given, stayed.absenteesHash);
        given = bytes32(0);
        for (uint256 i; i < setUps.length; ++i) {
            given = _linked(given, setUps[i]);
        }
        if (given != _ringDigests[round]) revert WrongRing(given, _ringDigests[round]);
    }

    function _checkSetUp(SetUp calldata one, address participant, bytes32[] calldata setUps) private pure {
        if (one.participant != participant) revert WrongMember(one.participant, participant);
        bytes32 digest = _setUpDigest(one);
        for (uint256 i; i < setUps.length; ++i) {
            if (setUps[i] == digest) return;
        }
        revert WrongRing(digest, bytes32(0));
    }
}
