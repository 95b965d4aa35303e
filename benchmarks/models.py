"""The smallest honest record of a send, to compare ours with."""

from typing import ClassVar

from django.db import models


class FloorSend(models.Model):  # noqa: DJ008 (nobody prints it)
    """What a site would write down that keeps none of our promises."""

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(unique=True)
    phone_number = models.CharField(max_length=11)
    status = models.CharField(max_length=8)
    transaction_id = models.CharField(max_length=255, default="")
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager["FloorSend"]]

    class Meta:
        app_label = "benchmarks"
