"""Who has the link may acknowledge that incident, and nobody can make one."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.links import incident_of, signed
from ml_platform.kernel.errors import DataError

SECRET = b"a secret of this installation"


@given(st.text(min_size=1, max_size=60).filter(lambda t: t.isprintable()))
def test_a_link_leads_to_its_incident(key):
    token = signed(key, SECRET)
    assert incident_of(token, SECRET) == key
    assert all(sign.isalnum() or sign in "-_." for sign in token)


@given(st.integers(0, 200), st.sampled_from("AZaz09-_.!"))
def test_a_changed_link_leads_to_no_other_incident(place, sign):
    token = signed("shop-1", SECRET)
    place %= len(token)
    changed = token[:place] + sign + token[place + 1 :]
    with contextlib.suppress(DataError):
        # Some bits of base64's last letter mean nothing; then the link is still the same.
        assert incident_of(changed, SECRET) == "shop-1"


def test_a_link_for_one_incident_is_none_for_another():
    body, other = signed("shop-1", SECRET), signed("shop-2", SECRET)
    mixed = body.partition(".")[0] + "." + other.partition(".")[2]
    with pytest.raises(DataError, match="not signed"):
        incident_of(mixed, SECRET)


@pytest.mark.parametrize("token", ["", ".", "a", "a.b", "=.=", "é.é", signed("x", b"another")])
def test_anything_else_is_refused(token):
    with pytest.raises(DataError):
        incident_of(token, SECRET)
