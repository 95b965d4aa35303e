"""The searches of the lists: whole values, each by an index. Nothing is searched for by a part."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from django_valify_otp import ip_addresses
from django_valify_otp.audit import looks
from django_valify_otp.audit.people import callers_named, find_users, may_search, number_in
from django_valify_otp.callers import User
from django_valify_otp.exceptions import InvalidPhoneNumber
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from django_valify_otp.phone_numbers import SHORTEST_PREFIX, normalize_prefix

# The attempts of which the tries are looked for.
NEWEST_ATTEMPTS = 1000


def search_sends(queryset: QuerySet[OtpSend], term: str, *, searcher: User) -> QuerySet[OtpSend]:
    """Return the attempts with this number, transaction ID, ID, IP address or user.

    A search for a number that the searcher may not see whole is logged.
    """
    if not term:
        return queryset
    number, address = number_in(term), ip_addresses.parse(term)
    if address and not number:
        # Alone, so that the index has the rows in the order of the list, however many they are.
        return queryset.filter(ip_address=address)
    wanted = _exactly(term)
    if address:
        wanted |= Q(ip_address=address)
    if may_search(searcher, term):
        if number:
            wanted |= Q(phone_number=number)
        callers = callers_named(term, find_users(term))
        if callers and not queryset.filter(wanted).exists():
            # Alone, so that the index counts the rows, which may be many.
            return queryset.filter(caller__in=callers)
        if callers:
            wanted |= Q(caller__in=callers)
    return queryset.filter(wanted)


def search_tries(
    queryset: QuerySet[OtpVerification], term: str, *, searcher: User
) -> QuerySet[OtpVerification]:
    """Return the tries of this number, attempt, IP address or user, or the try with this ID."""
    if not term:
        return queryset
    number, address = number_in(term), ip_addresses.parse(term)
    if address and not number:
        return queryset.filter(ip_address=address)
    exactly, users = _exactly(term), list[Any]()
    if may_search(searcher, term):
        if number:
            exactly |= Q(phone_number=number)
        users = find_users(term)
    sends = OtpSend.objects.filter(exactly).order_by("-created_at", "-pk")
    keys = [*sends.values_list("pk", flat=True)[:NEWEST_ATTEMPTS]]
    wanted = Q(otp_send__in=keys) | Q(user__in=[user.pk for user in users])
    if address:
        wanted |= Q(ip_address=address)
    with suppress(ValueError):
        wanted |= Q(uuid=UUID(term))
    return queryset.filter(wanted)


def search_blocks(
    queryset: QuerySet[SendBlock], term: str, *, searcher: User
) -> QuerySet[SendBlock]:
    """Return the blocks that a number, address or user runs into, or with a word in the reason."""
    if not term:
        return queryset
    if number := number_in(term):
        if not may_search(searcher, term):
            return queryset.none()
        prefixes = [number[:length] for length in range(SHORTEST_PREFIX, len(number) + 1)]
        return queryset.filter(Q(value__in=prefixes) | _of_users(term))
    with suppress(InvalidPhoneNumber):
        prefix = normalize_prefix(term)
        if len(prefix) > looks.OPEN_PREFIX and not looks.permit_search(searcher, prefix):
            return queryset.none()
        return queryset.filter(Q(value=prefix) | _of_users(term))
    with suppress(ValueError):
        network = ip_addresses.canonical_network(term)
        around = [] if "/" in network else ip_addresses.networks_of(network)
        return queryset.filter(value__in=[network, *around])
    if not may_search(searcher, term):
        return queryset.none()
    return queryset.filter(Q(reason__icontains=term) | _of_users(term))


def _exactly(term: str) -> Q:
    wanted = Q(transaction_id=term)
    with suppress(ValueError):
        wanted |= Q(uuid=UUID(term))
    return wanted


def _of_users(term: str) -> Q:
    return Q(user__in=[user.pk for user in find_users(term)])
