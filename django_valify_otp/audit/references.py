"""Find the rows of the site's own that refer to rows of ours."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import router
from django.db.models import SET_NULL, ForeignKey, QuerySet

# Bounds the parameters of a statement.
KEYS_AT_ONCE = 500


@dataclass(frozen=True)
class Reference:
    """The rows of one of the site's models that refer to some of ours."""

    field: ForeignKey[Any, Any]
    rows: QuerySet[Any]

    @property
    def is_nulled(self) -> bool:
        """Tell whether the site wants the reference set to null when our rows are deleted."""
        return self.field.remote_field.on_delete is SET_NULL

    @property
    def is_enforced(self) -> bool:
        """Tell whether the database refuses to delete what the reference refers to."""
        return bool(self.field.db_constraint)  # type: ignore[attr-defined]

    @property
    def model(self) -> str:
        """Return the label of the site's model."""
        return str(self.field.model._meta.label)

    def clear(self) -> None:
        """Set the reference to null."""
        self.rows.update(**{self.field.name: None})


def find_references(ours: QuerySet[Any]) -> list[Reference]:
    """Return what refers to these rows, whose keys are read only if any model can refer to them."""
    return [
        Reference(field, _referring(field, keys, ours.db))
        for field in _foreign_keys_to(ours.model, ours.db)
        for keys in _parts([*ours.values_list(field.target_field.attname, flat=True)])
    ]


def _foreign_keys_to(model: Any, using: str) -> Iterator[ForeignKey[Any, Any]]:
    """Return the foreign keys that other apps' models in this database have to the model."""
    for relation in model._meta.get_fields(include_hidden=True):
        if not relation.auto_created or not (relation.one_to_many or relation.one_to_one):
            continue
        other = relation.related_model
        is_own = other._meta.app_label == model._meta.app_label
        if not is_own and router.allow_migrate_model(using, other):
            yield relation.field


def _parts(keys: list[Any]) -> Iterator[list[Any]]:
    for first in range(0, len(keys), KEYS_AT_ONCE):
        yield keys[first : first + KEYS_AT_ONCE]


def _referring(field: ForeignKey[Any, Any], keys: list[Any], using: str) -> QuerySet[Any]:
    rows: QuerySet[Any] = field.model._base_manager.using(using)
    return rows.filter(**{f"{field.name}__in": keys})
