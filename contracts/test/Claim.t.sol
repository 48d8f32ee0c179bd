// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract ClaimTest is LedgerTest {
    bytes32[] private roots;

    /// @notice Rounds of `count` participants, all final but the last, which is open.
    function finish(uint256 rounds, uint256 count) private {
        open(count);
        for (uint256 number; number < rounds; ++number) {
            for (uint256 i; i < count; ++i) {
                roots.push(sealedRoot(i));
            }
            submitAll(count);
            post();
        }
        pass(200);
        ledger.finalize();
    }

    function entry(uint32 number, uint256 i, uint256 count) private view returns (Claim memory) {
        return Claim(number, uint16(i), weightOf(i), roots[(number - 1) * count + i]);
    }

    function single(Claim memory one) private pure returns (Claim[] memory list) {
        list = new Claim[](1);
        list[0] = one;
    }

    function weighted() private {
        Policy memory policy = rules();
        policy.rewardSplit = RewardSplit.DeclaredWeight;
        deploy(policy, address(0));
    }

    function testPaysAnEqualShareToThePayoutAddress() public {
        finish(1, 3);
        expectEvent();
        emit ITrainingLedger.RewardClaimed(1, worker(1), payoutOf(1), 333);
        vm.prank(STRANGER);
        ledger.claim(worker(1), single(entry(1, 1, 3)));
        vm.assertEq(payoutOf(1).balance, 333);
        vm.assertTrue(ledger.isClaimed(1, 1));
        vm.assertFalse(ledger.isClaimed(1, 0));
    }

    function testPaysByDeclaredWeight() public {
        weighted();
        finish(1, 3);
        for (uint256 i; i < 3; ++i) {
            ledger.claim(worker(i), single(entry(1, i, 3)));
            vm.assertEq(payoutOf(i).balance, uint256(1000) / 6 * weightOf(i));
        }
    }

    function testPaysManyRoundsAtOnce() public {
        finish(4, 2);
        Claim[] memory claims = new Claim[](3);
        claims[0] = entry(3, 1, 2);
        claims[1] = entry(1, 1, 2);
        claims[2] = entry(2, 1, 2);
        ledger.claim(worker(1), claims);
        vm.assertEq(payoutOf(1).balance, 1500);
    }

    function testEveryShareAndTheDustMakeTheReward(uint256 count, uint128 rewardWei, bool byWeight) public {
        count = bound(count, 2, 12);
        rewardWei = uint128(bound(rewardWei, 0, POOL / 2 - 100));
        Policy memory policy = rules();
        policy.rewardWei = rewardWei;
        policy.rewardSplit = byWeight ? RewardSplit.DeclaredWeight : RewardSplit.Equal;
        policy.maxRounds = 1;
        deploy(policy, address(0));
        open(count);
        for (uint256 i; i < count; ++i) {
            roots.push(sealedRoot(i));
        }
        submitAll(count);
        bytes32 digest = ledger.digestOf(1);
        vm.prank(AGGREGATOR);
        ledger.post(1, digest, new Exclusion[](0), sums(count > 8 ? 3 : 1), 0, 0, "model");
        pass(200);
        ledger.finalize();
        uint256 paidWei;
        for (uint256 i; i < count; ++i) {
            ledger.claim(worker(i), single(entry(1, i, count)));
            paidWei += payoutOf(i).balance;
        }
        vm.assertEq(paidWei + ledger.runState().poolWei + 100, POOL);
    }

    function testRefusesTwice() public {
        finish(1, 2);
        ledger.claim(worker(1), single(entry(1, 1, 2)));
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadyClaimed.selector, 1, 1));
        ledger.claim(worker(1), single(entry(1, 1, 2)));
        Claim[] memory claims = new Claim[](2);
        claims[0] = entry(1, 0, 2);
        claims[1] = entry(1, 0, 2);
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadyClaimed.selector, 1, 0));
        ledger.claim(worker(0), claims);
    }

    function testRefusesBeforeFinality() public {
        close(2);
        Claim memory one = Claim(1, 1, weightOf(1), sealedRoot(1));
        post();
        expectError(abi.encodeWithSelector(ITrainingLedger.NotFinal.selector, 1));
        ledger.claim(worker(1), single(one));
    }

    function testRefusesTheExcluded() public {
        close(3);
        pass(20);
        Claim memory one = Claim(1, 1, weightOf(1), sealedRoot(1));
        post(AGGREGATOR, only(excluding(1, 1, 3)));
        pass(200);
        ledger.finalize();
        expectError(abi.encodeWithSelector(ITrainingLedger.ExcludedFromReward.selector, 1, 1));
        ledger.claim(worker(1), single(one));
    }

    function testRefusesAnotherLeaf(uint256 field, uint16 index) public {
        finish(1, 3);
        vm.assume(index != 1);
        Claim memory one = entry(1, 1, 3);
        field = field % 3;
        if (field == 0) one.weight += 1;
        if (field == 1) one.index = index;
        if (field == 2) one.sealedRoot = "other";
        expectError(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, one.index));
        ledger.claim(worker(1), single(one));
    }

    function testRefusesTheRewardOfAnother() public {
        finish(1, 3);
        expectError(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 1));
        ledger.claim(worker(0), single(entry(1, 1, 3)));
    }

    function testRefusesAPayoutThatCannotTakeIt() public {
        finish(1, 2);
        vm.prank(worker(1));
        ledger.changePayout(address(ledger));
        expectError(abi.encodeWithSelector(ITrainingLedger.TransferFailed.selector, address(ledger), 500));
        ledger.claim(worker(1), single(entry(1, 1, 2)));
        vm.assertFalse(ledger.isClaimed(1, 1));
    }

    function testRefusesNothing() public {
        join(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.NothingToWithdraw.selector, worker(0)));
        ledger.claim(worker(0), new Claim[](0));
    }

    function testRefusesAStranger(address participant) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, participant));
        ledger.claim(participant, new Claim[](0));
    }
}
