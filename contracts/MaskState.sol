// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { KeyRing, SetUp, Survivors } from "./interfaces/ISecureAggregation.sol";
import { Exclusion, ITrainingLedger } from "./interfaces/ITrainingLedger.sol";
import { Graphs } from "./libraries/Graphs.sol";

/// @title MaskState
/// @notice The masks of one training run, and what both those who change them and their challenges know of them.
abstract contract MaskState {
    /// @dev The newest round that a participant set up keys for, and that it submitted to under masks.
    struct Membership {
        uint32 keyedIn;
        uint32 submittedTo;
        /// @dev Counted in the round's `joined`.
        bool isAwaited;
        bool hasIdentityKey;
        /// @dev Of the graphs: how many had an identity key before.
        uint16 vertex;
    }

    /// @dev Participants with an identity key: how many, and when the newest came.
    struct Vertices {
        uint16 count;
        uint40 newestIn;
    }

    ITrainingLedger internal immutable LEDGER;
    /// @dev Into how many a round's participants are drawn, so that a rule can compare sums; zero where there is one sum.
    uint16 internal immutable GROUPS;

    mapping(address participant => bytes32) internal _identityKeys;
    mapping(address participant => Membership) internal _memberships;
    Vertices internal _vertices;
    mapping(uint256 round => KeyRing) internal _rings;
    mapping(uint256 round => bytes32) internal _ringDigests;
    mapping(uint256 round => Survivors) internal _survivors;
    /// @dev Of a round with a graph or groups: the members among the vertices, those alone who stay once the survivors are fixed.
    mapping(uint256 round => mapping(uint256 word => uint256)) internal _staying;
    mapping(uint256 round => mapping(address poster => bytes32)) internal _seedsHashes;
    /// @dev The newest round whose survivors an account fixed.
    mapping(address account => uint32) internal _fixedIn;

    constructor(address maskedLedger, uint16 groups) {
        LEDGER = ITrainingLedger(maskedLedger);
        GROUPS = groups;
    }

    function _departed(uint256 number, Exclusion[] calldata exclusions, address[] calldata absentees)
        internal
        pure
        returns (address)
    {
        uint256 excluded = exclusions.length;
        return number < excluded ? exclusions[number].participant : absentees[number - excluded];
    }

    /// @dev Of a round with a graph: how many masks the departed share with those who stay, or of which of the departed, and
    /// which vertex, the `sought`th is. In the order of the departed, then of their neighbours around the ring.
    function _pairs(
        uint32 round,
        KeyRing memory ring,
        Exclusion[] calldata exclusions,
        address[] calldata absentees,
        uint256 sought
    ) internal view returns (uint256 count, uint256 number, uint256 vertex) {
        uint256 vertices = ring.vertices;
        uint256 steps = 2 * uint256(ring.reach) + 1;
        uint256[] memory order = Graphs.order(ring.seed, vertices);
        uint256[] memory staying = new uint256[]((vertices >> 8) + 1);
        for (uint256 word; word < staying.length; ++word) {
            staying[word] = _staying[round][word];
        }
        for (; number < exclusions.length + absentees.length; ++number) {
            uint256 first = order[_memberships[_departed(number, exclusions, absentees)].vertex] >> 128;
            first += vertices - ring.reach;
            unchecked {
                for (uint256 i; i < steps; ++i) {
                    vertex = uint128(order[(first + i) % vertices]);
                    if (staying[vertex >> 8] >> (vertex & 0xff) & 1 == 0) continue;
                    if (count == sought) return (count, number, vertex);
                    ++count;
                }
            }
        }
    }

    function _linked(bytes32 ring, bytes32 setUp) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x08), ring, setUp));
    }

    function _setUpDigest(SetUp memory one) internal pure returns (bytes32) {
        return sha256(
            abi.encodePacked(
                bytes1(0x09), one.participant, one.roundKey, one.keyCommitment, one.maskCommitment, one.sharesHash
            )
        );
    }
}
