"""The book as a Django app: a migrated database gets its triggers and first rows, and a check sees that the triggers are there."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate


class OrdersConfig(AppConfig):
    name = "orders"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Order book"

    def ready(self) -> None:
        """Connects what must happen after a migration, and arms a crash point where one is named. Nothing is started here."""
        from orders import crashpoints, integrity

        crashpoints.arm(settings.DESKBOOK_CRASH_AT)
        post_migrate.connect(integrity.after_migrate, sender=self)
