// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

/// @notice Leaves, digests and sums hashes, byte for byte as the shared vectors have them.
contract VectorsTest is LedgerTest {
    string private vectors;

    function setUp() public override {
        vm.warp(START);
        vectors = vm.readFile("../tests/vectors/commitment.json");
        vm.chainId(vm.parseJsonUint(vectors, ".chain_id"));
    }

    function deployAt(address place, bytes32 genesisModelRoot) private {
        RunDefinition memory run = definition();
        run.genesisModelRoot = genesisModelRoot;
        Policy memory policy = rules();
        policy.quorum = 1;
        policy.maxTotalWeight = 1_000_000;
        policy.clipLanes = 1;
        policy.maxUnfinalRounds = 64;
        policy.closeAt = 0;
        deployAt(place, run, policy);
    }

    function at(uint256 number, string memory field) private pure returns (string memory) {
        return string.concat(".cases[", vm.toString(number), "].", field);
    }

    function participantAt(uint256 number, uint256 i, string memory field) private pure returns (string memory) {
        return at(number, string.concat("participants[", vm.toString(i), "].", field));
    }

    function verify(uint256 number) private {
        bytes32 base = vm.parseJsonBytes32(vectors, at(number, "base_model_root"));
        uint256 count = vm.parseJsonUint(vectors, at(number, "participants_count"));
        uint32 target = uint32(vm.parseJsonUint(vectors, ".round"));
        deployAt(vm.parseJsonAddress(vectors, ".ledger"), base);
        fund(POOL);
        bond(AGGREGATOR, 10_000);
        for (uint256 i; i < count; ++i) {
            address participant = vm.parseJsonAddress(vectors, participantAt(number, i, "address"));
            vm.prank(OPERATOR);
            ledger.admit(participant, 100_000);
            vm.deal(participant, 500);
            vm.prank(participant);
            ledger.register{ value: 500 }(participant);
        }
        ledger.openRound();
        for (uint32 i = 1; i < target; ++i) {
            pass(100);
            ledger.closeRound(i);
        }
        for (uint256 i; i < count; ++i) {
            bytes32 root = vm.parseJsonBytes32(vectors, participantAt(number, i, "sealed_root"));
            uint32 weight = uint32(vm.parseJsonUint(vectors, participantAt(number, i, "weight")));
            vm.prank(vm.parseJsonAddress(vectors, participantAt(number, i, "address")));
            ledger.submit(target, base, root, weight);
            bytes32 expected = vm.parseJsonBytes32(vectors, participantAt(number, i, "leaf"));
            vm.assertEq(ledger.leafOf(target, uint16(i)), expected);
        }
        bytes32 digest = vm.parseJsonBytes32(vectors, at(number, "digest"));
        vm.assertEq(ledger.digestOf(target), digest);
        bytes32[] memory roots = vm.parseJsonBytes32Array(vectors, at(number, "partial_sum_roots"));
        vm.prank(AGGREGATOR);
        ledger.post(target, digest, new Exclusion[](0), roots, 0, 0, "model");
        vm.assertEq(ledger.sumsHashOf(target), vm.parseJsonBytes32(vectors, at(number, "sums_hash")));
    }

    function testOneParticipant() public {
        verify(0);
    }

    function testThreeParticipants() public {
        verify(1);
    }

    function testThreeParticipantsOfOneChunk() public {
        verify(2);
    }

    function testAFullGroup() public {
        verify(3);
    }

    function testMoreThanAGroup() public {
        verify(4);
    }
}
