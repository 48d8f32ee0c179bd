// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

/// @notice These tests run the committed artifact, so it has to be made of the sources beside them.
contract ArtifactTest is LedgerTest {
    function verifyMadeOf(string memory source) private view {
        string memory key = string.concat(".sources['", source, "']");
        string memory hash = string.concat("0x", vm.parseJsonString(vm.readFile(ARTIFACT), key));
        vm.assertEq(vm.toString(sha256(bytes(vm.readFile(source)))), hash, "run `make contracts`");
    }

    function testIsCurrent() public view {
        verifyMadeOf("TrainingLedger.sol");
        verifyMadeOf("interfaces/ITrainingLedger.sol");
    }

    function testLeavesRoomBelowTheCodeLimit() public view {
        vm.assertLe(address(ledger).code.length, 24_576);
    }
}
