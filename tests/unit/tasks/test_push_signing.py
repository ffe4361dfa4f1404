"""Signatures are those of Standard Webhooks: another's verifier takes them."""

import base64
import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from taskmill.tasks.push.signing import Signer

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(os.urandom(24)).decode()


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_the_verifier_of_another_takes_them(data: dict[str, object]) -> None:
    body = json.dumps(data).encode()
    headers = dict(Signer([SECRET]).headers("01981a3e-77d0-7c4f-8f04-0a5c2f9f6a11", int(time.time()), body))
    assert Webhook(SECRET).verify(body, headers) == data
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(body, headers)


def test_while_a_secret_changes_both_sign() -> None:
    headers = dict(Signer([SECRET, OTHER]).headers("one", int(time.time()), b"{}"))
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(b"{}", headers) == {}


def test_without_a_secret_nothing_is_signed() -> None:
    assert dict(Signer([]).headers("one", 5, b"{}")) == {"webhook-id": "one", "webhook-timestamp": "5"}


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", "hunter2" * 10, "x" * 4000])
def test_a_secret_that_is_none_is_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="openssl rand") as error:
        Signer([secret])
    assert len(secret) < 8 or secret not in str(error.value)
