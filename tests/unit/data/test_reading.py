"""Images and roles are read as they were written; a malformed file is refused by what is wrong with it."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from fl_chain.config import data_places
from fl_chain.data.catalogue import DATASETS, dataset
from fl_chain.data.places import is_located, located
from fl_chain.data.reading import parse_roles, read_idx, read_images, read_roles
from fl_chain.errors import InputDataError
from fl_chain.learning.table import read_table

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx(values: np.ndarray) -> bytes:
    shape = struct.pack(f">{values.ndim}I", *values.shape)
    return b"\x00\x00\x08" + bytes([values.ndim]) + shape + values.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_idx_file_gives_back_its_array(pack: type) -> None:
    assert np.array_equal(read_idx(pack(idx(IMAGES)), origin="x"), IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no idx file"),
        (b"\x00\x00\x08", "no idx file"),
        (b"\x00\x00\x0d" + idx(IMAGES)[3:], "no idx file of unsigned bytes"),
        (idx(IMAGES)[:9], "ends before its 3 dimensions"),
        (idx(IMAGES)[:-1], "promises 24 values and holds 23"),
        (idx(IMAGES) + b"!", "promises 24 values and holds 25"),
        (b"\x00\x00\x08\x02" + b"\xff" * 8, "promises 18446744065119617025 values and holds 0"),
        (gzip.compress(idx(IMAGES), mtime=0)[:-9], "cannot be unpacked"),
    ],
)
def test_a_malformed_idx_file_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        read_idx(content, origin="x")


def test_roles_are_lists_of_lines() -> None:
    assert parse_roles('{"A": ["one", "two"], "B": []}', origin="x") == {"A": ("one", "two"), "B": ()}


@pytest.mark.parametrize("text", ["", "[]", '{"A": "one"}', '{"A": [1]}'])
def test_what_is_no_object_of_lines_is_refused(text: str) -> None:
    with pytest.raises(InputDataError, match="x "):
        parse_roles(text, origin="x")


def test_a_set_is_read_as_what_it_is_only() -> None:
    with pytest.raises(InputDataError, match="holds no images"):
        read_images("online_shoppers", data_places())
    with pytest.raises(InputDataError, match="holds no roles"):
        read_roles("mnist", data_places())
    with pytest.raises(InputDataError, match="is no table"):
        read_table("catalogue:mnist")
    with pytest.raises(InputDataError, match="orange_juice, online_shoppers"):
        dataset("apple_juice")


@pytest.mark.parametrize("name", [one.name for one in DATASETS.values() if one.form == "table"])
def test_a_table_of_the_catalogue_has_the_columns_that_it_lists(name: str) -> None:
    found = DATASETS[name]
    if not is_located(found, data_places()):
        pytest.skip(f"the data set {name} is not on this machine; name its folder in FL_CHAIN_DATA")
    table = read_table(("builtin:" if found.is_embedded else "catalogue:") + name)
    assert tuple(table.columns) == found.columns
    assert f"{len(table):,}" == found.rows.split()[0]
    assert {*found.owners, found.label} - {None} <= set(found.columns)


def test_the_images_and_the_roles_of_the_catalogue() -> None:
    places = data_places()
    if not (is_located(DATASETS["mnist"], places) and is_located(DATASETS["shakespeare"], places)):
        pytest.skip("mnist and shakespeare are not on this machine; name their folder in FL_CHAIN_DATA")
    images = read_images("mnist", places)
    assert images.train_images.shape == (60_000, 28, 28)
    assert np.bincount(images.train_labels).tolist()[:3] == [5923, 6742, 5958]
    assert images.test_labels.shape == (10_000,)
    assert len(read_roles("shakespeare", places)) == 1074
    assert len(located(DATASETS["mnist"], places)) == 4
