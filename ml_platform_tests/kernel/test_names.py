"""Keys and the names of files that come of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.kernel.errors import DeclarationError
from ml_platform.kernel.names import LAYERS, TableKey, file_stem, partition_of


@pytest.mark.parametrize("layer", LAYERS)
def test_a_key_is_read_and_written_alike(layer):
    assert str(TableKey.parse(f"{layer}/sales_2")) == f"{layer}/sales_2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sales", "two parts"),
        ("raw/Sales", "lower case"),
        ("raw/../etc", "two parts"),
        ("raw/2sales", "two parts"),
        ("rav/sales", "raw (did you mean this?)"),
        ("", "two parts"),
    ],
)
def test_what_is_no_key_is_refused_with_what_would_be(text, said):
    with pytest.raises(DeclarationError) as caught:
        TableKey.parse(text)
    assert said in str(caught.value)


@given(st.text(min_size=1))
def test_every_partition_has_a_safe_file_name_of_its_own(partition):
    stem = file_stem(partition)
    assert partition_of(stem) == partition
    assert "/" not in stem
    assert not stem.startswith(".")
    assert stem != file_stem(None)
