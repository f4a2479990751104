"""The administration: the record to read, and the accounts, rights and limits that people set.

The rule it keeps: nothing about money or orders is added, changed or deleted here, and what may be changed goes through the book with an
event that names who did it.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from orders.admin import access, limits, records

__all__ = ["access", "limits", "records"]

admin.site.site_title = "Deskbook"
admin.site.site_header = _("Deskbook administration · times in UTC")
