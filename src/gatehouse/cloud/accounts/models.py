"""Accounts: one person at one sign-in form."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower

from gatehouse.cloud.kit.ids import new_id


class Realm(models.TextChoices):
    """Two worlds of sign-in that never mix (GH-LINK-07): people at work, people at home."""

    STAFF = "staff"
    APP = "app"


class Users(BaseUserManager["User"]):
    """Looks accounts up by their name within a realm."""

    def named(self, realm: str, login: str) -> User | None:
        """The account, whatever its state, or None."""
        return self.filter(username=username_of(realm, login)).first()


def username_of(realm: str, login: str) -> str:
    """The unique name under which realm and login are stored."""
    return f"{realm}:{login.strip().lower()}"


class User(AbstractBaseUser):
    """An account. A manager who also lives at a site has two: realms never lend rights to each other."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    username = models.CharField(max_length=200, unique=True)
    realm = models.CharField(max_length=8, choices=Realm.choices)
    login = models.CharField(max_length=180)
    email = models.EmailField(blank=True)
    name = models.CharField(max_length=130)
    language = models.CharField(max_length=12, blank=True)
    zone = models.CharField(max_length=64, blank=True)
    must_change_password = models.BooleanField(default=False)
    password_changed_at = models.DateTimeField(null=True)
    remind_monthly = models.BooleanField(default=False)
    disabled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[Users] = Users()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "realm", Lower("email"), name="user_email_per_realm", condition=~models.Q(email="")
            ),
            models.CheckConstraint(condition=models.Q(realm__in=Realm.values), name="user_realm"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # Django asks for a property of this name
        """False once the account is disabled; open sessions end at their next request."""
        return self.disabled_at is None


class Throttle(models.Model):
    """How often somebody guessed wrong of late, by account or by address. Shared by all web processes."""

    key = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    until = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.failures} until {self.until}"
