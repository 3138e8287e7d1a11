"""Names at rest."""

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from services.customer.sealing import Seal, masked
from tests.customer.make import SEAL


@given(st.text(min_size=1, max_size=200).filter(lambda name: not any(0xD800 <= ord(sign) < 0xE000 for sign in name)))
def test_a_sealed_name_opens_again_and_never_looks_the_same(name: str) -> None:
    one, other = SEAL.close("A1", name), SEAL.close("A1", name)
    assert one != other
    assert SEAL.open("A1", one) == SEAL.open("A1", other) == name


def test_a_sealed_name_opens_for_its_account_and_key_only() -> None:
    sealed = SEAL.close("A1", "Hua Trading")
    assert b"Hua" not in sealed
    with pytest.raises(InvalidTag):
        SEAL.open("A2", sealed)
    with pytest.raises(InvalidTag):
        Seal(b"another data key of thirty-two bytes").open("A1", sealed)


def test_a_mask_keeps_the_first_character() -> None:
    assert masked("华美贸易") == "华***"
