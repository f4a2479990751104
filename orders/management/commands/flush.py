"""`manage.py flush`: empties the database, as Django's own, of a book that no real money hangs on.

The rule it keeps: the record of a live book is never emptied. Of the others the triggers that guard it are taken away first and put back,
with a new book, by what follows every migration.
"""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.flush import Command as Flush
from django.db import connections

from orders import integrity
from orders.models import Book
from orders.rules.terms import BookKind


class Command(Flush):
    def handle(self, **options: Any) -> None:
        """Raises CommandError for a book that is bound to a live gateway."""
        connection = connections[options["database"]]
        if Book._meta.db_table in connection.introspection.table_names():
            if Book.objects.using(options["database"]).filter(kind=BookKind.LIVE.value).exists():
                raise CommandError("This book belongs to a live gateway: its record is not emptied. Start a new book in another database.")
            integrity.remove(connection)
        try:
            super().handle(**options)
        finally:
            integrity.after_migrate(options["database"])
