"""Attempts and tries of a year, as many as wanted, made by PostgreSQL itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model

from django_valify_otp.models import OtpSend, OtpVerification

USERS = 200

# Of 100 attempts 85 are sent, 60 of them verified; each number has asked about three times.
SENDS = """
INSERT INTO django_valify_otp_otpsend (
    uuid, status, code, user_id, caller, ip_address, token_fingerprint, calls, http_status,
    error_code, valify_message, reason, created_at, called_at, settled_at, phone_number, lang,
    purpose, limited_network, blocked_by, transaction_id, trials_remaining, verified_at
)
SELECT
    gen_random_uuid(), status, code, user_id, coalesce('user:' || user_id, 'anonymous'),
    ip_address::inet,
    CASE WHEN code LIKE 'send_limit%%' THEN '' ELSE left(md5((n / 3)::text), 16) END,
    CASE WHEN code LIKE 'send_limit%%' THEN 0 ELSE 1 END,
    CASE status WHEN 'sent' THEN 200 WHEN 'rejected' THEN 422 END,
    CASE status WHEN 'rejected' THEN '21' ELSE '' END,
    CASE status WHEN 'rejected' THEN 'The phone number is not valid' ELSE '' END, '',
    created_at, CASE WHEN code LIKE 'send_limit%%' THEN NULL ELSE created_at END, settled_at,
    '010' || lpad((hashint8(n %% (%(count)s / 3 + 1))::bigint & 67108863)::text, 8, '0'), 'ar',
    CASE n %% 3 WHEN 0 THEN 'signup' ELSE 'login' END, ip_address,
    CASE WHEN code LIKE 'send_limit%%' THEN 'NUMBER_SEND_LIMITS 1/60s' ELSE '' END,
    CASE status WHEN 'sent' THEN md5(n::text) ELSE '' END,
    CASE status WHEN 'sent' THEN n %% 3 END,
    CASE WHEN status = 'sent' AND n %% 100 >= 40 THEN settled_at + interval '20 seconds' END
FROM (
    SELECT n, created_at, created_at + (200 + n %% 1700) * interval '1 millisecond' AS settled_at,
        '41.' || n %% 64 || '.' || n / 64 %% 256 || '.' || n / 16384 %% 256 AS ip_address,
        CASE WHEN n %% 10 < 3 THEN %(user)s + n %% %(users)s END AS user_id,
        CASE WHEN n %% 100 < 6 THEN 'blocked' WHEN n %% 100 < 11 THEN 'rejected'
            WHEN n %% 100 < 14 THEN 'failed' WHEN n %% 100 < 15 THEN 'unknown' ELSE 'sent' END
            AS status,
        CASE WHEN n %% 100 < 6 THEN 'send_limit_reached' WHEN n %% 100 < 11 THEN 'rejected'
            WHEN n %% 100 < 14 THEN 'valify_unreachable'
            WHEN n %% 100 < 15 THEN 'outcome_unknown' ELSE '' END AS code
    FROM (
        SELECT n, now() - interval '1 hour' - (%(count)s - n) * (interval '364 days' / %(count)s)
            AS created_at
        FROM generate_series(1, %(count)s::bigint) AS n
    ) AS moments
) AS attempts
"""
TRIES = """
INSERT INTO django_valify_otp_otpverification (
    uuid, status, code, user_id, caller, ip_address, token_fingerprint, calls, http_status,
    error_code, valify_message, reason, created_at, called_at, settled_at, otp_send_id
)
SELECT gen_random_uuid(), 'verified', '', user_id, caller, ip_address, token_fingerprint, 1, 200,
    '', '', '', verified_at, verified_at, verified_at, id
FROM django_valify_otp_otpsend WHERE verified_at IS NOT NULL ORDER BY id
"""


def load(count: int) -> None:
    """Fill the empty tables with ``count`` attempts, and with the tries that verified them."""
    users = User.objects.bulk_create(User(username=f"user{n}") for n in range(USERS))
    with connection.cursor() as cursor:
        with without_indexes(OtpSend):
            cursor.execute(SENDS, {"count": count, "user": users[0].pk, "users": USERS})
        with without_indexes(OtpVerification):
            cursor.execute(TRIES)
        cursor.execute("VACUUM ANALYZE")


@contextmanager
def without_indexes(model: type[Model]) -> Iterator[None]:
    """Indexes are built faster from a full table."""
    with connection.schema_editor() as editor:
        for index in model._meta.indexes:
            editor.remove_index(model, index)
    yield
    with connection.schema_editor() as editor:
        for index in model._meta.indexes:
            editor.add_index(model, index)
