"""Lists that read few rows of a large table, whatever their address says."""

import re
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.functional import cached_property

from django_valify_otp.audit import looks
from django_valify_otp.phone_numbers import mask_numbers

COUNTED_ROWS = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages over the newest rows: a ``COUNT(*)`` over all of them would read the whole table."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most ``COUNTED_ROWS``."""
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[:COUNTED_ROWS].count()

    def page(self, number: Any) -> Any:
        """Find a page's keys in an index, then read its rows: skipped rows are not read."""
        page = super().page(number)
        found: Any = page.object_list
        rows: Any = self.object_list
        page.object_list = rows.filter(pk__in=[*found.values_list("pk", flat=True)])
        return page


class SafeChangeList(ChangeList):
    """A list whose address can neither break the query nor sort by a masked column."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Return the filters. Raises ``IncorrectLookupParameters`` if no database can use them."""
        if "\0" in "".join(self.params.values()):
            raise IncorrectLookupParameters
        return super().get_filters_params(params)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Return the order, by ``sortable_by`` alone: Django lets addresses name any column."""
        columns = [self.list_display.index(name) for name in self.sortable_by or ()]
        wanted = re.fullmatch("-?([0-9]{1,3})", self.params.get(ORDER_VAR, ""))
        if not wanted or int(wanted[1]) not in columns:
            self.params.pop(ORDER_VAR, None)
        return super().get_ordering(request, queryset)

    def masked_filters(self) -> dict[str, list[str]]:
        """Return the search and the filters with numbers masked, for the log."""
        filters = {
            name: [mask_numbers(value) for value in values]
            for name, values in self.get_filters_params().items()
        }
        if self.query:
            filters[SEARCH_VAR] = [looks.masked_term(self.query)]
        return filters


def read_as_utf8(request: HttpRequest) -> None:
    """Read the address as UTF-8: in other charsets it has text that no database can hold."""
    # The encoding itself is left alone: to set it would read the body again, or lose it.
    if request.encoding not in {None, "utf-8"}:
        query = request.META.get("QUERY_STRING", "")
        request.GET = QueryDict(query, encoding="utf-8")
