// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";
import { FeeToken, PlainToken } from "./Tokens.sol";

/// @notice A run whose amounts are in an ERC-20 token.
contract TokenTest is LedgerTest {
    PlainToken private token;

    function setUp() public override {
        vm.warp(START);
        token = new PlainToken();
        deploy(rules(), address(token));
    }

    function provide(address account, uint256 amountWei) private {
        token.mint(account, amountWei);
        vm.prank(account);
        token.approve(address(ledger), amountWei);
    }

    function testARunFromTheFirstUnitToTheLast() public {
        provide(OPERATOR, POOL);
        vm.prank(OPERATOR);
        ledger.fund(POOL);
        provide(AGGREGATOR, 10_000);
        vm.prank(AGGREGATOR);
        ledger.depositBond(10_000);
        for (uint256 i; i < 2; ++i) {
            admit(i);
            provide(worker(i), 500);
            vm.prank(worker(i));
            ledger.register(payoutOf(i));
        }
        ledger.openRound();
        vm.assertEq(token.balanceOf(address(ledger)), POOL + 10_000 + 1000);

        bytes32 root = sealedRoot(0);
        submitAll(2);
        vm.prank(OPERATOR);
        ledger.announceEnd();
        pass(100);
        post();
        pass(200);
        ledger.finalize();
        Claim[] memory claims = new Claim[](1);
        claims[0] = Claim(1, 0, weightOf(0), root);
        ledger.claim(worker(0), claims);
        vm.assertEq(token.balanceOf(payoutOf(0)), 500);

        vm.prank(AGGREGATOR);
        ledger.requestBond(10_000);
        vm.prank(worker(1));
        ledger.leave();
        pass(300);
        ledger.withdraw(AGGREGATOR);
        ledger.withdraw(worker(1));
        vm.assertEq(token.balanceOf(AGGREGATOR), 10_100);
        vm.assertEq(token.balanceOf(payoutOf(1)), 500);
        vm.prank(OPERATOR);
        ledger.withdrawPool(OPERATOR);
        vm.assertEq(token.balanceOf(OPERATOR), POOL - 1100);
        // The other reward and the other deposit are still their owners'.
        vm.assertEq(token.balanceOf(address(ledger)), 1000);
    }

    function testRefusesTheNativeCoin(uint96 sentWei) public {
        vm.assume(sentWei != 0);
        provide(STRANGER, 100);
        vm.deal(STRANGER, sentWei);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, sentWei, 0));
        vm.prank(STRANGER);
        ledger.fund{ value: sentWei }(100);
    }

    function testRefusesATokenThatKeepsAFee() public {
        token = new FeeToken();
        deploy(rules(), address(token));
        provide(STRANGER, 100);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, 99, 100));
        vm.prank(STRANGER);
        ledger.depositBond(100);
    }

    function testRefusesWhatWasNotApproved() public {
        vm.expectRevert();
        vm.prank(STRANGER);
        ledger.fund(1);
    }

    function testAmountsAtTheirBound() public {
        provide(STRANGER, uint256(type(uint128).max) + 1);
        vm.prank(STRANGER);
        ledger.fund(type(uint128).max);
        expectError(abi.encodeWithSelector(ITrainingLedger.AmountTooLarge.selector, uint256(type(uint128).max) + 1));
        vm.prank(STRANGER);
        ledger.depositBond(1);
    }

    function testRefusesAnAmountThatDoesNotFit() public {
        provide(STRANGER, uint256(type(uint128).max) + 6);
        expectError(abi.encodeWithSelector(ITrainingLedger.AmountTooLarge.selector, uint256(type(uint128).max) + 6));
        vm.prank(STRANGER);
        ledger.depositBond(uint256(type(uint128).max) + 6);
    }
}

/// @notice Takes its money and tries to take it again within the same payment.
contract Greedy {
    ITrainingLedger private immutable LEDGER;
    uint256 public attempts;
    uint256 public successes;

    constructor(ITrainingLedger ledger) payable {
        LEDGER = ledger;
        ledger.depositBond{ value: msg.value }(msg.value);
        ledger.requestBond(msg.value);
    }

    receive() external payable {
        ++attempts;
        try LEDGER.withdraw(address(this)) {
            ++successes;
        } catch { }
        try LEDGER.depositBond{ value: msg.value }(msg.value) {
            ++successes;
        } catch { }
    }
}

contract ReentrancyTest is LedgerTest {
    function testAPaymentCannotBeTakenTwice() public {
        fund(POOL);
        vm.deal(address(this), 100);
        Greedy greedy = new Greedy{ value: 100 }(ledger);
        pass(300);
        ledger.withdraw(address(greedy));
        vm.assertEq(greedy.attempts(), 1);
        vm.assertEq(greedy.successes(), 0);
        vm.assertEq(address(greedy).balance, 100);
        vm.assertEq(address(ledger).balance, POOL);
    }
}
