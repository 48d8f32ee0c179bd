// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskedTest.sol";

contract PublishSeedsTest is MaskedTest {
    function seedsDrawn(bytes32 draw, uint256 count) private pure returns (bytes16[] memory seeds) {
        seeds = new bytes16[](count);
        for (uint256 i; i < count; ++i) {
            seeds[i] = bytes16(keccak256(abi.encode(draw, i)));
        }
    }

    /// forge-config: default.fuzz.runs = 32
    function testAnyoneKeepsItsOwn(address sender, bytes32 draw) public {
        vm.assume(sender != AGGREGATOR);
        closeMasked(4, 3);
        fix(AGGREGATOR, nobody, people(3, 4));
        bytes16[] memory seeds = seedsDrawn(draw, 4);
        vm.expectEmit(address(masks));
        emit ISecureAggregation.SeedsPublished(1, sender, seeds);
        publish(sender, seeds);
        vm.assertEq(masks.seedsHashOf(1, sender), keccak256(abi.encode(seeds)));
        vm.assertEq(masks.seedsHashOf(1, AGGREGATOR), bytes32(0));

        seeds = seedsDrawn(keccak256(abi.encode(draw)), 4);
        publish(sender, seeds);
        vm.assertEq(masks.seedsHashOf(1, sender), keccak256(abi.encode(seeds)));
    }

    function testNeedsFixedSurvivors() public {
        closeMasked(3, 3);
        expectError(abi.encodeWithSelector(ISecureAggregation.SurvivorsNotFixed.selector, 1));
        masks.publishSeeds(1, seedsDrawn(0, 3));
    }

    /// forge-config: default.fuzz.runs = 16
    function testThereIsOneForEachMember(uint256 count) public {
        closeMasked(4, 3);
        fix(AGGREGATOR, nobody, people(3, 4));
        count = bound(count, 0, 9);
        if (count == 4) return;
        expectError(abi.encodeWithSelector(ISecureAggregation.WrongSeedCount.selector, count, 4));
        masks.publishSeeds(1, seedsDrawn(0, count));
    }

    function testOneMoreAndOneLess() public {
        testThereIsOneForEachMember(3);
        super.setUp();
        testThereIsOneForEachMember(5);
    }

    /// forge-config: default.fuzz.runs = 16
    /// @notice Nobody changes the seeds of a posting that stands.
    function testOnlyWhileTheRoundIsClosed(uint32 number) public {
        vm.assume(number > 2);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        masks.publishSeeds(number, seedsDrawn(0, 3));
        openMasked(3);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Open));
        masks.publishSeeds(1, seedsDrawn(0, 3));
        closeLatest(3, 3);
        postLatest(AGGREGATOR, 3, 3);
        bytes16[] memory seeds = seedsDrawn(0, 3);
        vm.prank(AGGREGATOR);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, 1, RoundStatus.Posted));
        masks.publishSeeds(1, seeds);
    }
}
