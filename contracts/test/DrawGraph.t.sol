// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Graphs } from "../libraries/Graphs.sol";
import "./MaskedTest.sol";

contract DrawGraphTest is MaskedTest {
    function noneDue(uint32 number) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISecureAggregation.NoGraphDue.selector, number);
    }

    function closed() private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISecureAggregation.KeysClosed.selector, 1);
    }

    // ------------------------------------------------------------------ the graph

    /// forge-config: default.fuzz.runs = 16
    function testDrawsItFromTheChainsRandomness(bytes32 randomness) public {
        openMasked(65);
        vm.prevrandao(randomness);
        vm.roll(block.number + 1);
        bytes16 seed = bytes16(sha256(abi.encodePacked(randomness, address(masks), uint32(1))));
        vm.expectEmit(address(masks));
        emit ISecureAggregation.GraphDrawn(1, 65, 29, seed);
        masks.drawGraph(1);
        KeyRing memory keys = masks.keyRingOf(1);
        vm.assertEq(keys.vertices, 65);
        vm.assertEq(keys.reach, 29);
        vm.assertEq(bytes32(keys.seed), bytes32(seed));
        vm.assertEq(keys.closeAt, START + KEYS_SECONDS);
        vm.assertEq(keys.members, 0);
    }

    /// @notice The same numbers as `tests/unit/masking/test_graphs.py` has.
    function testTheOrderIsFixedForEver() public pure {
        bytes16 seed = 0x000102030405060708090a0b0c0d0e0f;
        uint8[6] memory expected = [10, 22, 61, 42, 39, 33];
        uint256[] memory around = aroundIn(ringFrom(seed, 70), 3, 11);
        for (uint256 i; i < 6; ++i) {
            vm.assertEq(around[i], expected[i]);
        }
        around = aroundIn(ringFrom(seed, 300), 2, 299);
        uint8[4] memory others = [110, 250, 50, 69];
        for (uint256 i; i < 4; ++i) {
            vm.assertEq(around[i], others[i]);
        }
    }

    /// forge-config: default.fuzz.runs = 32
    function testTheOrderIsTheProtocols(bytes16 seed, uint256 vertices) public pure {
        vertices = bound(vertices, 1, 600);
        uint256[] memory expected = ringFrom(seed, vertices);
        uint256[] memory order = Graphs.order(seed, vertices);
        for (uint256 i; i < vertices; ++i) {
            vm.assertEq(uint128(order[i]), expected[i]);
            vm.assertEq(order[expected[i]] >> 128, i);
        }
    }

    function testTheReach() public pure {
        uint16[7] memory vertices = [65, 127, 128, 255, 256, 512, 1024];
        uint8[7] memory sides = [29, 29, 35, 35, 41, 47, 53];
        for (uint256 i; i < 7; ++i) {
            vm.assertEq(Graphs.reach(vertices[i], vertices[i]), sides[i]);
        }
        uint16[6] memory expected = [300, 256, 255, 192, 128, 0];
        uint8[6] memory farther = [41, 41, 42, 73, 127, 127];
        for (uint256 i; i < 6; ++i) {
            vm.assertEq(Graphs.reach(256, expected[i]), farther[i]);
        }
        vm.assertEq(Graphs.reach(65, 32), 32);
        vm.assertEq(Graphs.reach(65535, 1), 32767);
    }

    // ------------------------------------------------------------------ when

    function testUpTo64ShareWithEverybody() public {
        openMasked(64);
        vm.roll(block.number + 1);
        refuseDraw(noneDue(1), 1);
        setUpAll(64);
        vm.assertTrue(masks.keyRingOf(1).isComplete);
    }

    function testDrawsOnce() public {
        openMasked(65);
        draw();
        refuseDraw(noneDue(1), 1);
        setUpKeys(3);
        refuseDraw(noneDue(1), 1);
    }

    /// @notice Whoever may choose how many there are in the block that decides could try several graphs.
    function testNotInTheBlockOfAnIdentityKey() public {
        openMasked(65);
        refuseDraw(noneDue(1), 1);
        draw();
    }

    function openFor(uint256 count, uint256 identified) private {
        open(count);
        for (uint256 i; i < identified; ++i) {
            identify(i);
        }
        vm.roll(block.number + 1);
    }

    /// forge-config: default.fuzz.runs = 8
    function testWaitsForTheExpected(uint256 later) public {
        openFor(67, 66);
        // Half of the quarter, and of an odd one the larger part.
        pass(bound(later, 0, 12));
        refuseDraw(noneDue(1), 1);
        vm.warp(START + 13);
        draw();
        vm.assertEq(masks.keyRingOf(1).vertices, 66);
        vm.assertEq(masks.keyRingOf(1).reach, 29);
    }

    function testTheQuarterOnBothSides() public {
        openFor(65, 65);
        uint256 snapshot = vm.snapshotState();
        pass(KEYS_SECONDS - 1);
        draw();
        vm.revertToState(snapshot);
        pass(KEYS_SECONDS);
        refuseDraw(closed(), 1);
    }

    /// forge-config: default.fuzz.runs = 8
    function testRefusesARoundThatIsNotOpen(uint32 number) public {
        vm.assume(number != 1);
        openFor(65, 65);
        refuseDraw(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None), number);
        closeLatest(65, 65);
        refuseDraw(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Closed), 1);
    }

    /// @notice Each round has its own, of all who are there by then.
    function testAnotherRoundHasAnother() public {
        openFor(66, 65);
        pass(13);
        closeLatest(65, 65);
        identify(65);
        letLapse();
        draw();
        KeyRing memory first = masks.keyRingOf(1);
        KeyRing memory second = masks.keyRingOf(2);
        vm.assertEq(first.vertices, 65);
        vm.assertEq(second.vertices, 66);
        vm.assertTrue(first.seed != second.seed);
    }
}
