"""A site's own users: their keys are UUIDs, and they have no e-mail address."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Member(AbstractBaseUser, PermissionsMixin):
    """Somebody known by a nickname."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    nickname = models.CharField(max_length=20, unique=True)
    is_staff = models.BooleanField(default=True)

    objects: ClassVar[Any] = BaseUserManager()

    USERNAME_FIELD = "nickname"

    def __str__(self) -> str:
        return self.nickname
