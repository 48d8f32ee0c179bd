import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.commitment.canonical import parse_canonical_json
from fl_chain.errors import MalformedBlob, NonFiniteValue, UnsupportedModel, ValueOutOfRange
from fl_chain.learning.manifest import Manifest, TensorEntry, parse_manifest

SMALL = Manifest((TensorEntry("a.bias", (2,)), TensorEntry("a.weight", (2, 3)), TensorEntry("scale", ())))

names = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=12)
shapes = st.lists(st.integers(1, 7), max_size=4).map(tuple)
manifests = st.dictionaries(names, shapes, min_size=1, max_size=8).map(
    lambda tensors: Manifest(tuple(TensorEntry(name, tensors[name]) for name in sorted(tensors)))
)


@given(manifests)
def test_a_manifest_survives_its_json(manifest: Manifest) -> None:
    assert parse_manifest(parse_canonical_json(manifest.to_json())) == manifest


def test_the_hash_is_that_of_the_published_form() -> None:
    text = (
        b'[{"dtype":"float32","name":"a.bias","shape":[2]},'
        b'{"dtype":"float32","name":"a.weight","shape":[2,3]},'
        b'{"dtype":"float32","name":"scale","shape":[]}]'
    )
    assert SMALL.to_json() == text
    assert SMALL.hash == hashlib.sha256(text).digest()


@given(manifests)
def test_slices_cover_the_vector_once(manifest: Manifest) -> None:
    covered = [lane for _, place in manifest.slices() for lane in range(place.start, place.stop)]
    assert covered == list(range(manifest.dimension))


def test_names_are_ordered_by_bytes_not_by_dictionary() -> None:
    Manifest(
        (TensorEntry("B", (1,)), TensorEntry("a", (1,)), TensorEntry("a.x", (1,)), TensorEntry("a_x", (1,)))
    )


@pytest.mark.parametrize(
    "tensors",
    [
        (),
        (TensorEntry("b", (1,)), TensorEntry("a", (1,))),
        (TensorEntry("a", (1,)), TensorEntry("a", (1,))),
        (TensorEntry("größe", (1,)),),
        (TensorEntry("a\nb", (1,)),),
        (TensorEntry("", (1,)),),
        (TensorEntry("a", (1,), "float64"),),
        (TensorEntry("a", (3, 0)),),
        (TensorEntry("a", (-1,)),),
    ],
)
def test_what_cannot_be_a_manifest(tensors: tuple[TensorEntry, ...]) -> None:
    with pytest.raises(UnsupportedModel):
        Manifest(tensors)


@pytest.mark.parametrize(
    "document",
    [
        {},
        "a",
        [[]],
        [{"name": "a", "shape": [1]}],
        [{"dtype": "float32", "name": "a", "shape": [1], "more": 1}],
        [{"dtype": "float32", "name": 1, "shape": [1]}],
        [{"dtype": "float32", "name": "a", "shape": 1}],
        [{"dtype": "float32", "name": "a", "shape": ["1"]}],
        [{"dtype": 32, "name": "a", "shape": [1]}],
    ],
)
def test_a_document_of_another_form_is_malformed(document: object) -> None:
    with pytest.raises(MalformedBlob):
        parse_manifest(document)


@pytest.mark.parametrize(
    ("lane", "name"),
    [(0, "a.bias[0]"), (1, "a.bias[1]"), (2, "a.weight[0, 0]"), (7, "a.weight[1, 2]"), (8, "scale")],
)
def test_a_lane_is_named_by_tensor_and_index(lane: int, name: str) -> None:
    assert SMALL.element(lane) == name


@pytest.mark.parametrize("lane", [-1, 9])
def test_a_lane_outside_has_no_name(lane: int) -> None:
    with pytest.raises(IndexError):
        SMALL.element(lane)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(bad: float) -> None:
    values = np.zeros(9, np.float32)
    values[4] = bad
    with pytest.raises(NonFiniteValue, match=r"a\.weight\[0, 2\]"):
        SMALL.verify_values(values)


@pytest.mark.parametrize("fraction_bits", [8, 22, 24])
def test_both_ends_of_the_fixed_point_range(fraction_bits: int) -> None:
    step = 2.0**-fraction_bits
    for lane_value, fits in [(2**31 - 1, True), (2**31, False), (-(2**31), True), (-(2**31) - 1, False)]:
        values = np.zeros(9, np.float64)
        values[8] = lane_value * step
        if fits:
            SMALL.verify_values(values, fraction_bits=fraction_bits)
        else:
            with pytest.raises(ValueOutOfRange, match="scale"):
                SMALL.verify_values(values, fraction_bits=fraction_bits)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        SMALL.verify_values(np.zeros(8, np.float32))
