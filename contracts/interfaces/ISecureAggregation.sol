// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Exclusion } from "./ITrainingLedger.sol";

/// @notice What a participant publishes before a round's updates are masked.
struct SetUp {
    address participant;
    /// @notice Its X25519 key of the round.
    bytes32 roundKey;
    /// @notice Commitment to the seed that gives the round's private key.
    bytes32 keyCommitment;
    /// @notice Commitment to the seed of the mask on the own update.
    bytes32 maskCommitment;
    /// @notice SHA-256 of the shares of both seeds, each sealed to one peer; they are in the store.
    bytes32 sharesHash;
}

/// @notice A set-up that its participant signed for somebody else to bring.
struct SignedSetUp {
    SetUp setUp;
    /// @notice The participant's signature in short form (EIP-2098), over `setUpHash` of the round and the set-up.
    bytes32 r;
    bytes32 vs;
}

/// @notice The set-ups of a round, while and after they are made.
struct KeyRing {
    /// @notice Participants whose set-up counts: only they may submit.
    uint16 members;
    /// @notice Those of them that the round expects.
    uint16 joined;
    /// @notice Everybody expected has joined: nobody else does.
    bool isComplete;
    /// @notice From then on nobody joins either; zero before the first one.
    uint40 closeAt;
    /// @notice How many participants the round's graph or groups are of; zero where everybody shares masks with everybody.
    uint16 vertices;
    /// @notice How many neighbours each has on each side of the ring; in a run with groups their number.
    uint16 reach;
    /// @notice What the order of the ring is drawn from.
    bytes16 seed;
}

/// @notice Who stays in a round's sum. Fixed once, for every posting of the round.
struct Survivors {
    /// @notice Hash of the list of excluded submissions; zero until the survivors are fixed.
    bytes32 exclusionsHash;
    /// @notice Hash of the list of members that did not submit.
    bytes32 absenteesHash;
    uint16 members;
    uint16 submissions;
    uint16 survivors;
    /// @notice Vectors that take the masks off, which a posting lists before its partial sums.
    uint16 terms;
}

/// @notice Who left a round after the set-up, as the survivors were fixed.
struct Departed {
    /// @notice Whose submissions are left out.
    Exclusion[] exclusions;
    /// @notice Members that never submitted, ascending.
    address[] absentees;
}

/// @notice What opens a stored leaf.
struct LeafOpening {
    bytes32 sealedRoot;
    uint32 weight;
    address participant;
}

/// @notice Shows that a seed of a posting is not the one that was committed to.
struct SeedProof {
    /// @notice Of the seed in the published list: survivors in the order of their submissions, then the departed.
    uint16 number;
    bytes16[] seeds;
    Departed departed;
    /// @notice Digests of all set-ups of the round, in their order; the ring's digest is stored.
    bytes32[] setUps;
    /// @notice Whose seed it is.
    SetUp owner;
    /// @notice Of the owner's submission, where it survived.
    LeafOpening leaf;
}

/// @notice Shows that a term of a posting is not the mask that its seed gives, in one chunk.
struct MaskProof {
    /// @notice Of the term: each survivor's own mask, then for each of the departed one for each survivor; where a graph was
    /// drawn, for each of its neighbours who stays, around the ring.
    uint16 term;
    uint64 chunk;
    /// @notice Hash of the term's own chunk, and its siblings up to the listed root, lowest first.
    bytes32 chunkHash;
    bytes32[] path;
    /// @notice The posted list: the terms, then the partial sums.
    bytes32[] partialSumRoots;
    bytes16[] seeds;
    Departed departed;
    bytes32[] setUps;
    /// @notice Whose seed gives the mask; and the survivor that it was shared with, the same one for an own mask.
    SetUp owner;
    SetUp peer;
    /// @notice Of the survivor's submission; not looked at for a pair's mask where a graph was drawn.
    LeafOpening leaf;
}

/// @title The masks of one training run
/// @notice Keys before a round's updates are masked, who stays in its sum, and the seeds that take the masks off.
/// @dev It is the verifier of its ledger, which asks it at every submission and posting, and is an `IMaskChallenges` as well.
interface ISecureAggregation {
    event IdentityKeySet(address indexed participant, bytes32 key);
    /// @dev A participant's number in the graph is the place of its `IdentityKeySet` among all, from 0.
    event GraphDrawn(uint32 indexed round, uint16 vertices, uint16 reach, bytes16 seed);
    event KeysSetUp(
        uint32 indexed round,
        address indexed participant,
        uint16 index,
        bytes32 roundKey,
        bytes32 keyCommitment,
        bytes32 maskCommitment,
        bytes32 sharesHash
    );
    event SurvivorsFixed(
        uint32 indexed round,
        address indexed by,
        uint16 survivors,
        uint16 terms,
        Exclusion[] exclusions,
        address[] absentees
    );
    event SeedsPublished(uint32 indexed round, address indexed by, bytes16[] seeds);

    error NotTheLedger(address caller);
    error IdentityKeyFixed(address participant);
    error NoIdentityKey(address participant);
    error KeyOfLowOrder(bytes32 key);
    error NoGraphDue(uint32 round);
    error GraphNotDrawn(uint32 round);
    error NotInGraph(address participant);
    error NotTheVertex(address participant, uint256 vertex);
    error KeysClosed(uint32 round);
    error KeysNotClosed(uint32 round, uint40 closedAt);
    error KeysAlreadySetUp(uint32 round, address participant);
    error NoKeysInRound(uint32 round, address participant);
    error SurvivorsAlreadyFixed(uint32 round);
    error SurvivorsNotFixed(uint32 round);
    error TooFewSurvivors(uint256 survivors, uint256 needed);
    error TooFewOfGroup(uint256 group, uint256 survivors, uint256 needed);
    error TooFewGroups(uint256 staying, uint256 needed);
    error TooManyTerms(uint256 terms, uint256 most);
    error NotAbsent(address participant);
    error NoSeeds(uint32 round, address poster);
    error WrongSeedCount(uint256 given, uint256 expected);
    error WrongDeparted(bytes32 given, bytes32 expected);
    error WrongSeeds(bytes32 given, bytes32 expected);
    error WrongRing(bytes32 given, bytes32 expected);
    error WrongMember(address given, address expected);

    // ------------------------------------------------------------------ participants

    /// @notice Sets the caller's identity key (X25519), for ever: it seals what peers send one another.
    function setIdentityKey(bytes32 key) external;

    /// @notice Draws who shares masks with whom in an open round, once and before anybody joins it. Anyone may, where more
    /// than 64 participants have an identity key, and in every round of a run with groups; no such round begins without.
    /// @dev From the chain's randomness of the block, when all who are in the graph are known: not in the block in which an
    /// identity key was set, and while fewer have one than the round expects, not in the first eighth of the submission
    /// period. Whoever sets its key later is not in the round. Fewer neighbours would do than there are, so that a block
    /// producer who draws again a thousand times gains nothing.
    function drawGraph(uint32 round) external;

    /// @notice Joins an open round's masks. In the first quarter of the submission period, or until every expected
    /// participant has, the quorum at least; submissions begin then.
    /// @dev Keys of low order are refused, with which a secret would be known to everybody.
    function setUpKeys(
        uint32 round,
        bytes32 roundKey,
        bytes32 keyCommitment,
        bytes32 maskCommitment,
        bytes32 sharesHash
    ) external;

    /// @notice Joins those who signed, as if each had called `setUpKeys`, at less than half of the gas. Anyone may bring
    /// them; each participant can still come by itself.
    /// @dev Left out in silence is whom its signature is not of, who is barred, and who has joined already: none of them can
    /// keep the others out.
    function setUpKeysOf(uint32 round, SignedSetUp[] calldata signed) external;

    // ------------------------------------------------------------------ aggregators

    /// @notice Fixes who stays in a closed round's sum: once for ever, so that nobody ever learns both seeds of one peer.
    /// @dev First the named aggregator, after `postingSeconds` any account with a free bond, until the last posting deadline.
    /// Whoever fixed the survivors of a round after the newest that stands comes last: before `postingSeconds` it may not,
    /// and where it is the named aggregator, all others may. So nobody fixes one round after the other that nobody can post.
    /// At least `quorum` and `floor(2 (members - 1) / 3) + 1` stay: fewer could not take the masks off. In a run with groups
    /// the `quorum` stays, and of each group 3 and `floor(2 members / 3) + 1` at least, or nobody; more than half of the
    /// groups stay. Reason 2 does not exist: nobody sees a lane.
    /// @param exclusions ascending by index; none before `publicationSeconds` are over.
    /// @param absentees members that did not submit, ascending: all of them.
    function fixSurvivors(uint32 round, bytes32 digest, Exclusion[] calldata exclusions, address[] calldata absentees)
        external;

    /// @notice Publishes the seeds that the caller's posting takes the masks off with; before it posts, and again if it
    /// has to.
    /// @param seeds of each survivor its mask seed, in the order of submissions; then of each of the departed its key seed,
    /// or zero where nobody of its group stays.
    function publishSeeds(uint32 round, bytes16[] calldata seeds) external;

    // ------------------------------------------------------------------ the ledger

    /// @notice Counts a participant out that an open round does not expect any more. What it set up stays.
    function countOut(uint32 round, address participant) external;

    /// @notice Reverts where a participant may not submit to a round.
    function checkMember(uint32 round, address participant) external;

    /// @notice How many roots a posting lists, terms included; reverts where its exclusions are not the fixed ones, or its
    /// poster has published no seeds.
    function beforePosting(uint32 round, address poster, Exclusion[] calldata exclusions)
        external
        view
        returns (uint256);

    // ------------------------------------------------------------------ reading

    function ledger() external view returns (address);
    /// @notice Into how many groups each round's participants are drawn, in consecutive places of the round's order: every
    /// group shares masks among itself and has a sum of its own. Zero: there is one sum.
    function groups() external view returns (uint16);
    /// @notice What a participant signs for `setUpKeysOf`: EIP-191, version 0, over the chain id (8 bytes), the round (8 bytes)
    /// and the set-up's digest (32 bytes).
    function setUpHash(uint32 round, SetUp calldata setUp) external view returns (bytes32);
    function identityKeyOf(address participant) external view returns (bytes32);
    function keyRingOf(uint32 round) external view returns (KeyRing memory);
    function ringDigestOf(uint32 round) external view returns (bytes32);
    function survivorsOf(uint32 round) external view returns (Survivors memory);
    function seedsHashOf(uint32 round, address poster) external view returns (bytes32);
}
