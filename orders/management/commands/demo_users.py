"""`manage.py demo_users`: the users of a demonstration, with passwords made up on the spot and kept in the data folder.

The rule it keeps: they exist only in a book that is bound to a simulated gateway, so that nobody ever signs in with a demonstration's
password where real orders go. A user who is there already is left as people made them.
"""

import os
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.book import book
from orders.models import Account, AccountAccess, Book
from orders.models.book import Source
from orders.rules.terms import AccessLevel, BookKind

# What each of them may do with the first and with the second account of the simulated gateway.
ACCESS: dict[str, tuple[AccessLevel | None, AccessLevel | None]] = {
    "trader1": (AccessLevel.TRADE, AccessLevel.VIEW),
    "trader2": (None, AccessLevel.TRADE),
    "viewer1": (AccessLevel.VIEW, None),
    "admin": (None, None),  # an administrator needs none
}


POWERS = ("halt_desk", "release_trading")
"""The rights of the administrator beyond those of a trader."""


class Command(BaseCommand):
    requires_system_checks = ()  # called by `serve`, which has done them
    help = "Makes the users of a demonstration: trader1, trader2, viewer1 and admin. Simulated books only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--if-bound` is for `serve`, which asks again until the gateway has been heard."""
        parser.add_argument("--if-bound", action="store_true", help="do nothing, and say so, where the book knows no gateway yet")

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Prints how to sign in. Raises CommandError for a book that is not simulated."""
        kind, bound = Book.objects.values_list("kind", "bound_accounts").get()
        named = kind and bound and Account.objects.filter(code__in=bound).count() == len(bound)
        if not named and options["if_bound"]:
            return "The book has not met its gateway yet."
        if kind != BookKind.SIMULATED:
            state = f"belongs to a {kind} gateway" if kind else "has not met its gateway yet"
            raise CommandError(f"Demonstration users are for simulated books; this book {state}. Make users in the administration instead.")
        file = Path(settings.DATA_DIR) / "demo-passwords"
        passwords = _read(file)
        there = set(get_user_model().objects.filter(username__in=ACCESS).values_list("username", flat=True))
        missing = [name for name in ACCESS if name not in there]
        if missing:
            passwords |= {name: secrets.token_urlsafe(9) for name in missing}
            _make(missing, passwords)
            _write(file, passwords)
        lines = [f"    {name:<8} {passwords.get(name) or '(set by: manage.py changepassword ' + name + ')'}" for name in ACCESS]
        self.stdout.write("\n".join([f"Users of the demonstration (passwords as first made, kept in {file}):", *lines]))
        return None


def _make(names: list[str], passwords: dict[str, str]) -> None:
    """Adds the users with their access, all of them or none."""
    users = get_user_model()
    hashed = {name: make_password(passwords[name]) for name in names}  # slow by design, so not under the book's lock
    with book(at=timezone.now()) as b:
        accounts = list(Account.objects.order_by("code")[:2])
        for name in names:
            powers = {"is_staff": True, "is_superuser": True} if name == "admin" else {}
            user = users.objects.create(username=name, password=hashed[name], **powers)
            if powers:  # as any administrator of a desk would be given them; being a superuser he has them anyway
                user.user_permissions.add(*Permission.objects.filter(content_type__app_label="orders", codename__in=POWERS))
            if AccessLevel.TRADE in ACCESS[name]:
                user.user_permissions.add(Permission.objects.get(codename="trade_armed", content_type__app_label="orders"))
            for account, level in zip(accounts, ACCESS[name], strict=False):
                if level is None:
                    continue
                words = f"{name} may {level.value} {account.code}"
                with b.event("access_granted", source=Source.SYSTEM, account=account, text=words) as fact:
                    fact.add(AccountAccess(user=user, account=account, level=level))


def _read(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    return dict(line.split(maxsplit=1) for line in file.read_text().splitlines() if " " in line)


def _write(file: Path, passwords: dict[str, str]) -> None:
    """Whole or not at all, and for its owner only."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.writelines(f"{name} {password}\n" for name, password in passwords.items())
    draft.replace(file)
