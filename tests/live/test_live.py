"""Talk to Valify, and write down what only Valify can answer. At most three SMS are sent.

In this order, ``make live`` runs them: an SMS might make the OTP of the one before worthless.
"""

from http import HTTPStatus
from typing import Any, NamedTuple

import pytest

from django_valify_otp.exceptions import CodeRejected
from django_valify_otp.services import find_credential_problem, send_otp, verify_otp
from tests.configuration import Configure
from tests.live.account import LiveAccount
from tests.live.customer import INQUIRY, SEND, VERIFY, Customer, summarize
from tests.live.report import Report

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
# Far more than the three that Valify documents.
MOST_USES = 10


@pytest.fixture(autouse=True)
def live(configure: Configure, account: LiveAccount) -> None:
    """Point the app at Valify."""
    configure(**account.settings)


class Sent(NamedTuple):
    """An SMS: what Valify said of it, and its OTP."""

    answer: Any
    otp: str


@pytest.fixture(scope="session")
def sent(customer: Customer) -> Sent:
    """Send an SMS, with an access token that has made one call before."""
    token = customer.fetch_token()
    customer.guess(token)
    return Sent(customer.send(token), customer.account.read_otp())


def test_the_credentials(account: LiveAccount) -> None:
    assert find_credential_problem() is None


@pytest.mark.django_db
def test_the_app_sends_and_verifies(account: LiveAccount, report: Report) -> None:
    otp_send = send_otp(account.phone_number)
    otp = account.read_otp()
    with pytest.raises(CodeRejected) as wrong:
        verify_otp(otp_send, f"{(int(otp) + 1) % 1_000_000:06}")
    report.note("Which error code has a wrong OTP?", wrong.value.error_code)
    assert verify_otp(otp_send, otp).status == "verified"
    report.note("Is an OTP still good after a wrong one was typed?", "yes")


def test_the_shape_of_an_answer(sent: Sent, report: Report) -> None:
    assert sent.answer["result"]["success"] is True
    for key in ("transaction_id", "trials_remaining"):
        report.note(f"Of which JSON type is {key}?", type(sent.answer[key]).__name__)


def test_trials_per_service(sent: Sent, report: Report) -> None:
    report.note(
        "What is trials_remaining of a send, after one refused verify with its token?"
        " (2: verify has uses of its own, or a refusal costs none; 1: they are shared)",
        sent.answer["trials_remaining"],
    )
    assert int(sent.answer["trials_remaining"]) in range(MOST_USES)


def test_verify_with_another_token(customer: Customer, sent: Sent, report: Report) -> None:
    other = customer.fetch_token()
    typed = {"otp": sent.otp, "transaction_id": str(sent.answer["transaction_id"])}
    response = customer.call(VERIFY, other, **typed)
    report.note("Can an OTP be verified with another token than it was sent with?", response.text)
    assert response.json() == {"verified": True}


def test_a_new_token_and_the_old(customer: Customer, report: Report) -> None:
    old, new = customer.fetch_token(), customer.fetch_token()
    with_old, with_new = customer.guess(old), customer.guess(new)
    assert with_new.status_code != HTTPStatus.FORBIDDEN
    is_revoked = with_old.status_code == HTTPStatus.FORBIDDEN
    report.note("Does a new token revoke the old one?", "yes" if is_revoked else "no")
    report.note("What is the answer about a transaction that does not exist?", summarize(with_new))


def test_a_wrong_bundle_key(customer: Customer, report: Report) -> None:
    response = customer.guess(customer.fetch_token(), bundle_key="wrong")
    report.note("What is the answer to a wrong bundle key?", summarize(response))
    assert response.status_code != HTTPStatus.OK


def test_transaction_inquiry(customer: Customer, sent: Sent, report: Report) -> None:
    token, transaction_id = customer.fetch_token(), str(sent.answer["transaction_id"])
    response = customer.call(INQUIRY, token, transaction_id=transaction_id)
    report.note("What does the transaction inquiry say of a send?", response.status_code)


def test_uses_of_a_token(customer: Customer, report: Report) -> None:
    token = customer.fetch_token()
    answers = [customer.guess(token).status_code for _ in range(MOST_USES)]
    assert answers[0] != HTTPStatus.FORBIDDEN
    uses = sum(status != HTTPStatus.FORBIDDEN for status in answers)
    report.note(f"How many of {MOST_USES} verify calls does one token serve?", uses)
    response = customer.call(SEND, token, phone_number=customer.account.phone_number)
    report.note("Does a token that verify has used up still send?", response.status_code)
