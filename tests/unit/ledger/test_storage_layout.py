"""Where state lies: against the rules of Solidity's documentation, and against a real contract's storage."""

from __future__ import annotations

import pytest
from deployed_runs import deployed_run
from eth_hash.auto import keccak

from fl_chain.ledger.artifact import challenge_verifier, training_ledger
from fl_chain.ledger.expected_storage import ledger_layout
from fl_chain.ledger.storage_layout import StorageLayout, mapping_slot

WORD = "0x" + "11" * 20


def simple(kind: str, size: int) -> dict[str, object]:
    return {"encoding": "inplace", "label": kind, "numberOfBytes": str(size)}


LAYOUT = StorageLayout(
    {
        "storage": [
            {"label": "small", "offset": 0, "slot": "0", "type": "t_uint16"},
            {"label": "flag", "offset": 2, "slot": "0", "type": "t_bool"},
            {"label": "pair", "offset": 0, "slot": "1", "type": "t_pair"},
            {"label": "pairs", "offset": 0, "slot": "4", "type": "t_pairs"},
            {"label": "bits", "offset": 0, "slot": "5", "type": "t_bits"},
            {"label": "list", "offset": 0, "slot": "6", "type": "t_list"},
        ],
        "types": {
            "t_uint16": simple("uint16", 2),
            "t_bool": simple("bool", 1),
            "t_address": simple("address", 20),
            "t_bytes32": simple("bytes32", 32),
            "t_list": {"encoding": "dynamic_array", "base": "t_bool", "numberOfBytes": "32"},
            "t_bits": {"encoding": "mapping", "key": "t_uint16", "value": "t_bitsOf", "numberOfBytes": "32"},
            "t_bitsOf": {"encoding": "mapping", "key": "t_uint16", "value": "t_bool", "numberOfBytes": "32"},
            "t_pairs": {"encoding": "mapping", "key": "t_address", "value": "t_pair", "numberOfBytes": "32"},
            "t_pair": {
                "encoding": "inplace",
                "numberOfBytes": "64",
                "members": [
                    {"label": "who", "offset": 0, "slot": "0", "type": "t_address"},
                    {"label": "count", "offset": 20, "slot": "0", "type": "t_uint16"},
                    {"label": "root", "offset": 0, "slot": "1", "type": "t_bytes32"},
                ],
            },
        },
    }
)
PAIR = {"who": WORD, "count": 3, "root": b"\xff" + bytes(31)}
PACKED = 3 << 160 | int(WORD, 16)


def test_values_that_share_a_word_stand_beside_each_other() -> None:
    assert LAYOUT.words("small", value=0xABCD) == {0: 0xABCD}
    assert LAYOUT.words("flag", value=True) == {0: 1 << 16}
    assert LAYOUT.words("pair", value=PAIR) == {1: PACKED, 2: 0xFF << 248}


def test_what_a_mapping_holds_begins_at_the_hash_of_key_and_slot() -> None:
    slot = int.from_bytes(keccak(bytes(12) + bytes.fromhex(WORD[2:]) + (4).to_bytes(32, "big")), "big")
    assert mapping_slot(4, WORD) == slot
    assert LAYOUT.words("pairs", WORD, value=PAIR) == {slot: PACKED, slot + 1: 0xFF << 248}
    outer = keccak((7).to_bytes(32, "big") + (5).to_bytes(32, "big"))
    inner = int.from_bytes(keccak((9).to_bytes(32, "big") + outer), "big")
    assert LAYOUT.words("bits", 7, 9, value=1) == {inner: 1}


@pytest.mark.parametrize("value", [2**16 - 1, 0])
def test_the_largest_and_the_smallest_value_fit(value: int) -> None:
    assert LAYOUT.words("small", value=value) == {0: value}


@pytest.mark.parametrize("value", [2**16, -1])
def test_a_value_beyond_its_type_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        LAYOUT.words("small", value=value)


@pytest.mark.parametrize("members", [{"who": WORD}, PAIR | {"more": 1}])
def test_a_struct_has_all_of_its_members_and_no_other(members: dict[str, object]) -> None:
    with pytest.raises(KeyError, match="other members"):
        LAYOUT.words("pair", value=members)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variable", "keys", "value"),
    [("small", (1,), 1), ("bits", (1,), 1), ("list", (), 1), ("pair", (), 1), ("pairs", (WORD, WORD), PAIR)],
)
def test_keys_that_lead_to_no_value_are_refused(variable: str, keys: tuple[int, ...], value: object) -> None:
    with pytest.raises(ValueError, match=r"no value|no mapping"):
        LAYOUT.words(variable, *keys, value=value)  # type: ignore[arg-type]


def test_a_variable_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError):
        LAYOUT.words("nothing", value=1)


def test_the_artifact_says_where_all_state_of_the_ledger_lies() -> None:
    assert len(ledger_layout().variables) == 17
    assert challenge_verifier().storage_layout == {"storage": [], "types": {}}


def test_the_artifact_names_what_the_constructor_writes_into_the_code() -> None:
    with deployed_run() as run:
        code = run.node.code(run.ledger.run.ledger)
        written = training_ledger().named_immutables(code)
        assert len(written) == 32
        assert written["operator"] == int(run.operator.address, 16)
        assert written["REWARD_WEI"] == run.policy.reward_wei
        assert written["CHAIN_ID"] == run.node.chain_id
        words = ledger_layout().words("_modelRoots", 0, value=run.ledger.model_root(0))
        ((slot, root),) = words.items()
        stored = run.node.request("eth_getStorageAt", run.ledger.run.ledger, hex(slot), "latest")
        assert int(stored, 16) == root
