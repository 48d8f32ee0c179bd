// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

/// @notice What a call costs follows from its own arguments and the policy, not from how many take part or for how long.
/// @dev Every call is measured in the same situation twice: in a short run of three, and in a long one in which many
/// others took part, missed rounds, left, came back and changed keys.
contract LoopsTest is LedgerTest {
    /// @dev One turn more of any loop over storage costs at least a cold read, 2,100 gas.
    uint256 private constant SLACK_GAS = 1000;
    uint256 private constant CALLS = 22;
    address private constant KEY = address(0x5000);
    address private constant NEWCOMER = address(0x5001);

    bytes32[] private roots;
    uint32 private finalRound;

    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.unbondingSeconds = 1;
        policy.challengeSeconds = 150;
    }

    // ------------------------------------------------------------------ the two runs

    function key(uint256 i, uint256 turn) private pure returns (address) {
        return address(uint160(0x100_0000 + i * 0x1000 + turn));
    }

    /// @dev Leaves, comes back and changes its key, as often as it likes.
    function wander(uint256 i, uint256 turns) private {
        for (uint256 turn; turn < turns; ++turn) {
            address current = turn == 0 ? worker(i) : key(i, turn - 1);
            vm.deal(current, 500);
            vm.startPrank(current);
            ledger.leave();
            ledger.register{ value: 500 }(payoutOf(i));
            ledger.requestSignerRotation(key(i, turn));
            vm.stopPrank();
            pass(1);
            vm.prank(key(i, turn));
            ledger.rotateSigner(worker(i));
        }
    }

    /// @dev Three submit to the open round, after `others` that have; it is posted.
    function play(uint16 others) private {
        submitAll(3);
        if (round().status == RoundStatus.Open) {
            pass(100);
            ledger.closeRound(latest());
        }
        uint256 count;
        for (uint256 n = 3 + others; n != 1 || count == 0; count += n) {
            n = (n + 7) / 8;
        }
        uint32 number = latest();
        bytes32 digest = ledger.digestOf(number);
        vm.prank(AGGREGATOR);
        ledger.post(number, digest, new Exclusion[](0), sums(count), 0, 0, modelRoot(number));
    }

    /// @notice Ends in an open round after two posted ones; `finalRound` is final.
    function reach(uint256 participants, uint256 rounds, uint256 turns) private {
        vm.warp(START);
        deploy(rules(), address(0));
        open(participants);
        uint16 others;
        for (uint256 i = 3; i < participants; i += 2) {
            submit(i);
            ++others;
        }
        play(others);
        for (uint256 i = 4; i < participants; i += 2) {
            wander(i, turns);
        }
        pass(100);
        ledger.closeRound(latest());
        for (uint256 i = 1; i < rounds; ++i) {
            pass(60);
            if (i + 1 == rounds) rememberSubmissions();
            play(0);
        }
        pass(150);
        ledger.closeRound(latest());
        ledger.finalize();
        play(0);
        play(0);
    }

    function rememberSubmissions() private {
        delete roots;
        finalRound = latest();
        for (uint256 i; i < 3; ++i) {
            roots.push(sealedRoot(i));
        }
    }

    // ------------------------------------------------------------------ every call

    /// @dev From cold storage, as a transaction of its own pays for it; nothing of it stays.
    function cost(address caller, uint256 valueWei, bytes memory call) private returns (uint256 gasUsed) {
        vm.deal(caller, valueWei);
        vm.cool(address(ledger));
        vm.prank(caller);
        uint256 before = gasleft();
        (bool isDone,) = address(ledger).call{ value: valueWei }(call);
        gasUsed = before - gasleft();
        vm.assertTrue(isDone, "refused");
    }

    function prepared(uint256 i) private returns (address caller, uint256 valueWei, bytes memory call) {
        uint32 number = latest();
        if (i == 0) return (STRANGER, 7, abi.encodeCall(ledger.fund, (7)));
        if (i == 1) return (STRANGER, 7, abi.encodeCall(ledger.depositBond, (7)));
        if (i == 2) return (AGGREGATOR, 0, abi.encodeCall(ledger.requestBond, (7)));
        if (i == 3) return (STRANGER, 0, abi.encodeCall(ledger.withdraw, (AGGREGATOR)));
        if (i == 4) return (OPERATOR, 0, abi.encodeCall(ledger.admit, (NEWCOMER, 9)));
        if (i == 5) return (OPERATOR, 0, abi.encodeCall(ledger.suspend, (worker(0))));
        if (i == 6) return (OPERATOR, 0, abi.encodeCall(ledger.announceEnd, ()));
        if (i == 7) {
            vm.prank(OPERATOR);
            ledger.admit(NEWCOMER, 9);
            return (NEWCOMER, 500, abi.encodeCall(ledger.register, (STRANGER)));
        }
        if (i == 8) return (worker(0), 0, abi.encodeCall(ledger.changePayout, (STRANGER)));
        if (i == 9) return (worker(0), 0, abi.encodeCall(ledger.requestSignerRotation, (KEY)));
        if (i == 10) {
            vm.prank(worker(0));
            ledger.requestSignerRotation(KEY);
            pass(1);
            return (KEY, 0, abi.encodeCall(ledger.rotateSigner, (worker(0))));
        }
        if (i == 11) return (worker(0), 0, abi.encodeCall(ledger.leave, ()));
        if (i == 12) return (worker(0), 0, abi.encodeCall(ledger.submit, (number, baseRoot(), "sealed", 1)));
        if (i == 13) {
            submitAll(2);
            return (worker(2), 0, abi.encodeCall(ledger.submit, (number, baseRoot(), "sealed", 1)));
        }
        if (i == 14) {
            submitAll(2);
            pass(100);
            return (STRANGER, 0, abi.encodeCall(ledger.closeRound, (number)));
        }
        if (i == 15) {
            pass(100);
            return (STRANGER, 0, abi.encodeCall(ledger.closeRound, (number)));
        }
        if (i == 16) {
            submitAll(3);
            pass(110);
            return (STRANGER, 0, abi.encodeCall(ledger.voidRound, (number)));
        }
        if (i == 17) {
            submitAll(3);
            Exclusion[] memory none;
            bytes32 digest = ledger.digestOf(number);
            return (AGGREGATOR, 0, abi.encodeCall(ledger.post, (number, digest, none, sums(1), 0, 0, "model")));
        }
        if (i == 18) {
            pass(150);
            return (STRANGER, 0, abi.encodeCall(ledger.finalize, ()));
        }
        if (i == 19) {
            // As many as may wait for finality; there is room again once the first of them is due.
            play(0);
            play(0);
            pass(150);
            return (STRANGER, 0, abi.encodeCall(ledger.openRound, ()));
        }
        if (i == 20) {
            Claim[] memory claims = new Claim[](1);
            claims[0] = Claim(finalRound, 0, weightOf(0), roots[0]);
            return (STRANGER, 0, abi.encodeCall(ledger.claim, (worker(0), claims)));
        }
        vm.prank(OPERATOR);
        ledger.announceEnd();
        pass(150);
        ledger.closeRound(number);
        ledger.finalize();
        return (OPERATOR, 0, abi.encodeCall(ledger.withdrawPool, (STRANGER)));
    }

    function everyCost() private returns (uint256[] memory costs) {
        costs = new uint256[](CALLS);
        for (uint256 i; i < CALLS; ++i) {
            uint256 snapshot = vm.snapshotState();
            (address caller, uint256 valueWei, bytes memory call) = prepared(i);
            costs[i] = cost(caller, valueWei, call);
            vm.revertToState(snapshot);
        }
    }

    function testNoCallCostsMoreInALongRunOfMany() public {
        reach(3, 2, 0);
        uint256[] memory short = everyCost();
        reach(60, 30, 10);
        uint256[] memory long = everyCost();
        for (uint256 i; i < CALLS; ++i) {
            vm.assertLe(long[i], short[i] + SLACK_GAS, vm.toString(i));
        }
    }

    /// @dev The one loop over rounds: as long as the policy allows, at most 64.
    function testSettlingEverythingFitsInABlock() public {
        Policy memory policy = rules();
        policy.maxUnfinalRounds = 64;
        deploy(policy, address(0));
        open(3);
        for (uint256 i; i < 64; ++i) {
            play(0);
        }
        expectError(abi.encodeWithSelector(ITrainingLedger.TooManyUnfinalRounds.selector, 64, 0));
        ledger.openRound();
        pass(150);
        vm.assertLe(cost(STRANGER, 0, abi.encodeCall(ledger.finalize, ())), 3_000_000, "gas");
        vm.assertEq(ledger.runState().settled, 64);
    }
}
