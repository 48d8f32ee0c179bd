// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import { FeeToken, PlainToken, SilentToken, SulkyToken } from "./Tokens.sol";

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

    function testRefusesTheNativeCoinOfABond(uint96 sentWei) public {
        vm.assume(sentWei != 0);
        provide(STRANGER, 100);
        vm.deal(STRANGER, sentWei);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, sentWei, 0));
        vm.prank(STRANGER);
        ledger.depositBond{ value: sentWei }(100);
    }

    function testRefusesTheNativeCoinOfADeposit(uint96 sentWei) public {
        vm.assume(sentWei != 0);
        admit(0);
        provide(worker(0), 500);
        vm.deal(worker(0), sentWei);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, sentWei, 0));
        vm.prank(worker(0));
        ledger.register{ value: sentWei }(payoutOf(0));
    }

    function testRefusesATokenThatKeepsAFee() public {
        token = new FeeToken();
        deploy(rules(), address(token));
        provide(STRANGER, 100);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, 99, 100));
        vm.prank(STRANGER);
        ledger.depositBond(100);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, 99, 100));
        vm.prank(STRANGER);
        ledger.fund(100);
        admit(0);
        provide(worker(0), 500);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongPayment.selector, 499, 500));
        vm.prank(worker(0));
        ledger.register(payoutOf(0));
    }

    function testRefusesATokenThatAnswersFalse(uint96 amountWei) public {
        vm.assume(amountWei != 0);
        SulkyToken sulky = new SulkyToken();
        token = sulky;
        deploy(rules(), address(token));
        provide(STRANGER, 2 * uint256(amountWei));
        vm.prank(STRANGER);
        ledger.depositBond(amountWei);
        vm.prank(STRANGER);
        ledger.requestBond(amountWei);
        pass(300);
        sulky.sulk();
        expectError(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token)));
        vm.prank(STRANGER);
        ledger.fund(amountWei);
        expectError(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token)));
        ledger.withdraw(STRANGER);
        vm.assertEq(ledger.accountOf(STRANGER).unbondingWei, amountWei);
    }

    function testTakesATokenThatAnswersNothing(uint96 amountWei) public {
        vm.assume(amountWei != 0);
        token = PlainToken(address(new SilentToken()));
        deploy(rules(), address(token));
        token.mint(STRANGER, amountWei);
        vm.prank(STRANGER);
        SilentToken(address(token)).approve(address(ledger), amountWei);
        vm.prank(STRANGER);
        ledger.depositBond(amountWei);
        vm.prank(STRANGER);
        ledger.requestBond(amountWei);
        pass(300);
        ledger.withdraw(STRANGER);
        vm.assertEq(token.balanceOf(STRANGER), amountWei);
    }

    function testRefusesWhatWasNotApproved() public {
        vm.expectRevert();
        vm.prank(STRANGER);
        ledger.fund(1);
    }

    function testAmountsAtTheirBound() public {
        uint256 most = type(uint128).max;
        provide(STRANGER, most + 1);
        vm.prank(STRANGER);
        ledger.fund(most - 1);
        vm.prank(STRANGER);
        ledger.depositBond(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.AmountTooLarge.selector, most + 1));
        vm.prank(STRANGER);
        ledger.depositBond(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.AmountTooLarge.selector, most + 1));
        vm.prank(STRANGER);
        ledger.fund(1);
    }

    function testADepositBeyondTheBound() public {
        uint256 most = type(uint128).max;
        provide(STRANGER, most - 499);
        vm.prank(STRANGER);
        ledger.fund(most - 499);
        admit(0);
        provide(worker(0), 500);
        expectError(abi.encodeWithSelector(ITrainingLedger.AmountTooLarge.selector, most + 1));
        vm.prank(worker(0));
        ledger.register(payoutOf(0));
    }

    function testRefusesAnAmountThatDoesNotFit() public {
        provide(STRANGER, uint256(type(uint128).max) + 6);
        expectError(abi.encodeWithSelector(ITrainingLedger.AmountTooLarge.selector, uint256(type(uint128).max) + 6));
        vm.prank(STRANGER);
        ledger.depositBond(uint256(type(uint128).max) + 6);
    }
}

/// @notice Takes money, and calls the ledger while it is paid.
contract Greedy {
    ITrainingLedger private ledger;
    bytes[] private calls;
    bytes[] public answers;

    function aim(ITrainingLedger at, bytes[] calldata with) external {
        ledger = at;
        for (uint256 i; i < with.length; ++i) {
            calls.push(with[i]);
        }
    }

    receive() external payable {
        for (uint256 i; i < calls.length; ++i) {
            (bool isDone, bytes memory answer) = address(ledger).call(calls[i]);
            answers.push(isDone ? bytes("done") : answer);
        }
    }
}

contract ReentrancyTest is LedgerTest {
    function everyCallThatMovesMoney() private pure returns (bytes[] memory calls) {
        calls = new bytes[](6);
        calls[0] = abi.encodeCall(ITrainingLedger.fund, (0));
        calls[1] = abi.encodeCall(ITrainingLedger.withdrawPool, (OPERATOR));
        calls[2] = abi.encodeCall(ITrainingLedger.register, (OPERATOR));
        calls[3] = abi.encodeCall(ITrainingLedger.depositBond, (0));
        calls[4] = abi.encodeCall(ITrainingLedger.withdraw, (OPERATOR));
        calls[5] = abi.encodeCall(ITrainingLedger.claim, (OPERATOR, new Claim[](0)));
    }

    /// @dev The operator, since it alone may call `withdrawPool`.
    function makeGreedy() private returns (Greedy greedy) {
        vm.etch(OPERATOR, address(new Greedy()).code);
        greedy = Greedy(payable(OPERATOR));
        greedy.aim(ledger, everyCallThatMovesMoney());
    }

    function verifyNothingMoved(Greedy greedy, uint256 paidWei) private view {
        for (uint256 i; i < 6; ++i) {
            bytes4 reason = bytes4(greedy.answers(i));
            vm.assertTrue(reason == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        }
        vm.assertEq(OPERATOR.balance, paidWei);
    }

    function testNothingCanBeCalledWithinAWithdrawal(uint96 amountWei) public {
        vm.assume(amountWei != 0);
        bond(OPERATOR, amountWei);
        vm.prank(OPERATOR);
        ledger.requestBond(amountWei);
        Greedy greedy = makeGreedy();
        pass(300);
        ledger.withdraw(OPERATOR);
        verifyNothingMoved(greedy, amountWei);
        vm.assertEq(address(ledger).balance, 0);
    }

    function testNothingCanBeCalledWithinAClaim() public {
        close(2);
        Claim[] memory claims = new Claim[](1);
        claims[0] = Claim(1, 0, weightOf(0), sealedRoot(0));
        post();
        pass(200);
        ledger.finalize();
        vm.prank(worker(0));
        ledger.changePayout(OPERATOR);
        Greedy greedy = makeGreedy();
        ledger.claim(worker(0), claims);
        verifyNothingMoved(greedy, 500);
    }

    function testNothingCanBeCalledWhileThePoolIsPaidOut() public {
        fund(POOL);
        vm.prank(OPERATOR);
        ledger.announceEnd();
        pass(100);
        Greedy greedy = makeGreedy();
        vm.prank(OPERATOR);
        ledger.withdrawPool(OPERATOR);
        verifyNothingMoved(greedy, POOL);
    }
}
