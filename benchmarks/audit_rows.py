"""Let PostgreSQL generate the attempts and tries of a year."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model

from django_valify_otp.models import OtpSend, OtpVerification, SendBlock

USERS = 200
BLOCKS = 50
CROWDED_ADDRESS = "102.40.1.1"
# Half a year ago, and then no more: what the newest rows tell nothing of.
ATTACKER, ATTACKED_PREFIX = "102.50.1.1", "01559"

# Of 100 attempts 85 are sent, and 60 are verified. Each number has about three attempts. One in 20
# comes from the crowded address. On one day, each second attempt is the attacker's.
SENDS = """
INSERT INTO django_valify_otp_otpsend (
    uuid, status, code, user_id, caller, ip_address, token_fingerprint, calls, http_status,
    error_code, valify_message, reason, created_at, called_at, settled_at, phone_number, lang,
    purpose, limited_network, blocked_by, transaction_id, trials_remaining, verified_at
)
SELECT
    gen_random_uuid(), status, code, user_id, coalesce('user:' || user_id, 'anonymous'),
    ip_address::inet,
    CASE WHEN code LIKE 'send_%%' THEN '' ELSE left(md5((n / 3)::text), 16) END,
    CASE WHEN code LIKE 'send_%%' THEN 0 ELSE 1 END,
    CASE status WHEN 'sent' THEN 200 WHEN 'rejected' THEN 422 END,
    CASE status WHEN 'rejected' THEN '21' ELSE '' END,
    CASE status WHEN 'rejected' THEN 'The phone number is not valid' ELSE '' END, '',
    created_at, CASE WHEN code LIKE 'send_%%' THEN NULL ELSE created_at END, settled_at,
    CASE WHEN is_attack THEN %(prefix)s || lpad((n %% 1000000)::text, 6, '0') ELSE
    '010' || lpad((hashint8(n %% (%(count)s / 3 + 1))::bigint & 67108863)::text, 8, '0') END, 'ar',
    CASE n %% 3 WHEN 0 THEN 'signup' ELSE 'login' END, ip_address,
    CASE code WHEN 'send_limit_reached' THEN 'NUMBER_SEND_LIMITS 1/60s'
        WHEN 'send_forbidden' THEN 'SendBlock 1' ELSE '' END,
    CASE status WHEN 'sent' THEN md5(n::text) ELSE '' END,
    CASE status WHEN 'sent' THEN n %% 3 END,
    CASE WHEN status = 'sent' AND n %% 100 >= 40 THEN settled_at + interval '20 seconds' END
FROM (
    SELECT n, created_at, created_at + (200 + n %% 1700) * interval '1 millisecond' AS settled_at,
        CASE WHEN is_attack THEN %(attacker)s WHEN n %% 20 = 0 THEN %(crowded)s ELSE
        '41.' || n %% 64 || '.' || n / 64 %% 256 || '.' || n / 16384 %% 256 END AS ip_address,
        CASE WHEN n %% 10 < 3 THEN %(user)s + n %% %(users)s END AS user_id,
        CASE WHEN n %% 100 < 6 THEN 'blocked' WHEN n %% 100 < 11 THEN 'rejected'
            WHEN n %% 100 < 14 THEN 'failed' WHEN n %% 100 < 15 THEN 'unknown' ELSE 'sent' END
            AS status,
        CASE WHEN n %% 100 < 3 THEN 'send_forbidden'
            WHEN n %% 100 < 6 THEN 'send_limit_reached' WHEN n %% 100 < 11 THEN 'rejected'
            WHEN n %% 100 < 14 THEN 'valify_unreachable'
            WHEN n %% 100 < 15 THEN 'outcome_unknown' ELSE '' END AS code,
        is_attack
    FROM (
        SELECT n, n %% 2 = 0 AND n BETWEEN %(count)s / 2 AND %(count)s / 2 + %(count)s / 364
            AS is_attack,
            now() - interval '1 hour' - (%(count)s - n) * (interval '364 days' / %(count)s)
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
    """Fill the empty tables with ``count`` attempts and the tries that verified them."""
    users = User.objects.bulk_create(
        User(username=f"user{n}", email=f"user{n}@example.com") for n in range(USERS)
    )
    SendBlock.objects.bulk_create(
        SendBlock(scope="prefix", value=f"0155{n:03}") for n in range(BLOCKS)
    )
    figures: dict[str, Any] = {
        "count": count,
        "user": users[0].pk,
        "users": USERS,
        "crowded": CROWDED_ADDRESS,
        "attacker": ATTACKER,
        "prefix": ATTACKED_PREFIX,
    }
    with connection.cursor() as cursor:
        with without_indexes(OtpSend):
            cursor.execute(SENDS, figures)
        with without_indexes(OtpVerification):
            cursor.execute(TRIES)
        cursor.execute("VACUUM ANALYZE")


@contextmanager
def without_indexes(model: type[Model]) -> Iterator[None]:
    """Drop the indexes, and create them again at the end: this is faster."""
    definitions = _definitions(model)
    with connection.schema_editor() as editor:
        for index in model._meta.indexes:
            editor.remove_index(model, index)
    yield
    with connection.cursor() as cursor:
        for definition in definitions:
            cursor.execute(definition)
    if not definitions:
        with connection.schema_editor() as editor:
            for index in model._meta.indexes:
                editor.add_index(model, index)


def _definitions(model: type[Model]) -> list[str]:
    """Return PostgreSQL's indexes as the migration made them: some are of a part of the rows."""
    if connection.vendor != "postgresql":
        return []
    names = [index.name for index in model._meta.indexes]
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = ANY(%s)", [names])
        return [definition for (definition,) in cursor.fetchall()]
