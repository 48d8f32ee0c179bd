// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { MaskChallenges } from "./MaskChallenges.sol";
import { MaskState } from "./MaskState.sol";
import { ISecureAggregation, KeyRing, SetUp, SignedSetUp, Survivors } from "./interfaces/ISecureAggregation.sol";
import { Exclusion, ITrainingLedger, Policy, Round, RoundStatus } from "./interfaces/ITrainingLedger.sol";
import { Graphs } from "./libraries/Graphs.sol";
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
contract SecureAggregation is MaskState, ISecureAggregation {
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
    /// @dev With so many identity keys everybody shares masks with everybody; with more a graph is drawn.
    uint256 private constant COMPLETE_UP_TO = 64;
    /// @dev A sum of fewer gives its summands away.
    uint256 private constant LEAST_IN_GROUP = 3;

    /// @dev Of the deployment, as the ledger's own, whatever a fork of the chain calls itself later.
    uint64 private immutable CHAIN_ID = uint64(block.chainid);
    ILedgerHead private immutable HEAD;
    /// @dev Decides challenges on the state of this contract: the code of both is over the limit of EIP-170.
    address private immutable CHALLENGES;

    /// @param maskedLedger where the ledger will be: its deployer's next contract. The ledger refuses one of another.
    /// @param groups into how many each round's participants are drawn; zero for one sum of all.
    constructor(address maskedLedger, uint16 groups) MaskState(maskedLedger, groups) {
        HEAD = ILedgerHead(maskedLedger);
        CHALLENGES = address(new MaskChallenges(maskedLedger, groups));
    }

    /// @dev Everything that is not here: the challenges, which change nothing.
    fallback() external {
        address challenges = CHALLENGES;
        assembly ("memory-safe") {
            let data := mload(0x40)
            calldatacopy(data, 0, calldatasize())
            let isRight := delegatecall(gas(), challenges, data, calldatasize(), 0, 0)
            returndatacopy(data, 0, returndatasize())
            if iszero(isRight) { revert(data, returndatasize()) }
            return(data, returndatasize())
        }
    }

    // ------------------------------------------------------------------ participants

    /// @inheritdoc ISecureAggregation
    function setIdentityKey(bytes32 key) external {
        address participant = LEDGER.identityOf(msg.sender);
        if (participant == address(0)) revert ITrainingLedger.NotRegistered(msg.sender);
        if (_identityKeys[participant] != 0) revert IdentityKeyFixed(participant);
        _checkKey(key);

        Vertices memory known = _vertices;
        Membership storage membership = _memberships[participant];
        _identityKeys[participant] = key;
        membership.hasIdentityKey = true;
        membership.vertex = known.count;
        _vertices = Vertices(known.count + 1, uint40(block.number));

        emit IdentityKeySet(participant, key);
    }

    /// @inheritdoc ISecureAggregation
    function drawGraph(uint32 round) external {
        (Round memory current, KeyRing memory ring) = _openRing(round);
        Vertices memory known = _vertices;
        bool isEarly =
            known.count < current.remaining && block.timestamp + (ring.closeAt - current.since) / 2 < ring.closeAt;
        // Whoever could choose how many there are in the block that decides could try several graphs.
        if (!_isDue(ring, known) || isEarly || known.newestIn == block.number) revert NoGraphDue(round);

        ring.vertices = known.count;
        ring.reach = GROUPS == 0 ? uint16(Graphs.reach(known.count, current.remaining)) : GROUPS;
        ring.seed = bytes16(sha256(abi.encodePacked(bytes32(block.prevrandao), address(this), round)));
        _rings[round] = ring;

        emit GraphDrawn(round, ring.vertices, ring.reach, ring.seed);
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
        KeyRing memory ring = _rings[round];
        uint16 members = ring.members;
        _checkAbsentees(round, members - current.submissions, absentees);
        uint256 survivors = current.submissions - exclusions.length;
        uint256 needed = GROUPS == 0 ? 2 * (uint256(members) - 1) / 3 + 1 : 0;
        if (needed < policy.quorum) needed = policy.quorum;
        if (survivors < needed) revert TooFewSurvivors(survivors, needed);
        if (GROUPS != 0) _checkGroups(round, ring, exclusions, absentees);
        if (ring.vertices != 0) {
            for (uint256 i; i < members - survivors; ++i) {
                uint256 vertex = _memberships[_departed(i, exclusions, absentees)].vertex;
                _staying[round][vertex >> 8] ^= 1 << (vertex & 0xff);
            }
        }
        uint256 terms = _termCount(round, ring, survivors, exclusions, absentees);
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
        if (GROUPS != 0) return 0;
        return stayed.terms + PartialSums.count(uint256(stayed.submissions) + stayed.terms);
    }

    // ------------------------------------------------------------------ reading

    /// @inheritdoc ISecureAggregation
    function ledger() external view returns (address) {
        return address(LEDGER);
    }

    /// @inheritdoc ISecureAggregation
    function groups() external view returns (uint16) {
        return GROUPS;
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
        if (ring.closeAt == 0) ring.closeAt = current.since + LEDGER.policy().submissionSeconds / KEYS_SHARE;
        if (ring.isComplete || block.timestamp >= ring.closeAt) revert KeysClosed(round);
    }

    /// @dev Whether a round waits for its graph: it has none, nobody has joined, and too many may for doing without.
    function _isDue(KeyRing memory ring, Vertices memory known) private view returns (bool) {
        bool areMany = GROUPS == 0 ? known.count > COMPLETE_UP_TO : known.count != 0;
        return ring.members == 0 && ring.vertices == 0 && areMany;
    }

    /// @dev Warning: changes `ring` in memory; the caller stores it, and links the set-up's digest to the ring's.
    function _join(uint32 round, Round memory current, KeyRing memory ring, Seat memory seat, SetUp memory own)
        private
    {
        Membership memory membership = _memberships[own.participant];
        if (!membership.hasIdentityKey) revert NoIdentityKey(own.participant);
        _checkKey(own.roundKey);
        if (ring.members == 0 && _isDue(ring, _vertices)) revert GraphNotDrawn(round);
        if (ring.vertices != 0) {
            if (membership.vertex >= ring.vertices) revert NotInGraph(own.participant);
            _staying[round][membership.vertex >> 8] |= 1 << (membership.vertex & 0xff);
        }

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

    // ------------------------------------------------------------------ inside: who stays

    /// @dev How many vectors a posting lists that take the masks off.
    function _termCount(
        uint32 round,
        KeyRing memory ring,
        uint256 survivors,
        Exclusion[] calldata exclusions,
        address[] calldata absentees
    ) private view returns (uint256) {
        if (GROUPS != 0) return 0;
        if (ring.vertices == 0) return survivors * (1 + ring.members - survivors);
        (uint256 pairs,,) = _pairs(round, ring, exclusions, absentees, type(uint256).max);
        return survivors + pairs;
    }

    /// @dev Of a group so many stay that its masks can be taken off and its sum hides each, or nobody; and of the groups
    /// more than half. Before those who left are taken out of `_staying`.
    function _checkGroups(
        uint32 round,
        KeyRing memory ring,
        Exclusion[] calldata exclusions,
        address[] calldata absentees
    ) private view {
        uint256 vertices = ring.vertices;
        uint256[] memory order = Graphs.order(ring.seed, vertices);
        uint256[] memory members = new uint256[](GROUPS);
        uint256[] memory gone = new uint256[](GROUPS);
        for (uint256 place; place < vertices; ++place) {
            uint256 vertex = uint128(order[place]);
            members[Graphs.group(place, vertices, GROUPS)] += _staying[round][vertex >> 8] >> (vertex & 0xff) & 1;
        }
        for (uint256 i; i < exclusions.length + absentees.length; ++i) {
            uint256 place = order[_memberships[_departed(i, exclusions, absentees)].vertex] >> 128;
            ++gone[Graphs.group(place, vertices, GROUPS)];
        }
        uint256 staying;
        for (uint256 i; i < GROUPS; ++i) {
            uint256 survivors = members[i] - gone[i];
            if (survivors == 0) continue;
            uint256 needed = 2 * members[i] / 3 + 1;
            if (needed < LEAST_IN_GROUP) needed = LEAST_IN_GROUP;
            if (survivors < needed) revert TooFewOfGroup(i, survivors, needed);
            ++staying;
        }
        if (staying * 2 <= GROUPS) revert TooFewGroups(staying, GROUPS / 2 + 1);
    }

    // ------------------------------------------------------------------ inside: hashes

    /// @dev What a participant signs: EIP-191, version 0.
    function _signedHash(uint32 round, bytes32 setUpDigest) private view returns (bytes32) {
        return keccak256(abi.encodePacked(bytes2(0x1900), address(this), CHAIN_ID, uint64(round), setUpDigest));
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
        if (absentees.length != expected) {
            revert ITrainingLedger.WrongLength("absentees", absentees.length, expected);
        }
        address previous;
        for (uint256 i; i < absentees.length; ++i) {
            Membership memory membership = _memberships[absentees[i]];
            bool isAbsent = membership.keyedIn == round && membership.submittedTo != round;
            if (!isAbsent || absentees[i] <= previous) revert NotAbsent(absentees[i]);
            previous = absentees[i];
        }
    }
}
