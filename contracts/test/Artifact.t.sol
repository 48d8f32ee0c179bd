// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

/// @notice These tests run the committed artifact, so it has to be made of the sources beside them.
contract ArtifactTest is LedgerTest {
    function verifyMadeOf(string memory artifact, string memory source) private view {
        string memory key = string.concat(".sources['", source, "']");
        string memory hash = string.concat("0x", vm.parseJsonString(vm.readFile(artifact), key));
        vm.assertEq(vm.toString(sha256(bytes(vm.readFile(source)))), hash, "run `make contracts`");
    }

    function verifyCurrent(string memory artifact) private view {
        verifyMadeOf(artifact, "TrainingLedger.sol");
        verifyMadeOf(artifact, "ChallengeVerifier.sol");
        verifyMadeOf(artifact, "interfaces/ITrainingLedger.sol");
        verifyMadeOf(artifact, "interfaces/IChallengeVerifier.sol");
        verifyMadeOf(artifact, "libraries/Chunks.sol");
        verifyMadeOf(artifact, "libraries/Lanes.sol");
        verifyMadeOf(artifact, "libraries/PartialSums.sol");
        verifyMadeOf(artifact, "libraries/Seals.sol");
    }

    function testIsCurrent() public view {
        verifyCurrent(ARTIFACT);
        verifyCurrent(VERIFIER_ARTIFACT);
    }

    function testLeavesRoomBelowTheCodeLimit() public view {
        vm.assertLe(address(ledger).code.length, 24_576);
    }

    function testTheCreationCodeLeavesRoomBelowItsLimit() public view {
        bytes memory arguments = abi.encode(definition(), rules(), AGGREGATOR, address(0));
        vm.assertLe(vm.getCode(ARTIFACT).length + arguments.length, 49_152);
    }

    function testTheVerifierIsTheLedgersFirstCreation() public view {
        bytes32 hash = keccak256(abi.encodePacked(bytes2(0xd694), address(ledger), bytes1(0x01)));
        vm.assertEq(ledger.verifier(), address(uint160(uint256(hash))));
        vm.assertNotEq(ledger.verifier().code.length, 0);
    }
}
