"""What the pages of the administration share: reading without a way to write, and writing through the book.

The rule it keeps: an administrator who is no superuser sees here what he sees on the desk, the accounts that he was given.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin, TabularInline
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from orders.book import OpenBook, book
from orders.models.book import Source
from orders.queries.access import visible_accounts


class ReadOnly:
    """No way to write, for a page or an inline."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RecordAdmin(ReadOnly, ModelAdmin):
    """A table of the record. `account_path` leads from a row to its account; "" where rows belong to none."""

    account_path = "account"
    list_per_page = 50
    show_full_result_count = False  # counting millions of rows for a footnote

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Rows of the accounts that the user may see; rows of no account are for superusers."""
        rows = super().get_queryset(request)
        if request.user.is_superuser:
            return rows
        return rows.filter(**{f"{self.account_path}__in": visible_accounts(request.user)}) if self.account_path else rows.none()


class RecordInline(ReadOnly, TabularInline):
    extra = 0
    can_delete = False
    show_change_link = True


class BookAdmin(ModelAdmin):
    """Rows that people edit. Every change is an event of the book: `words` say it, `kinds` name it (added, changed, removed)."""

    kinds = ("", "", "")

    # Django opens a transaction around these views. The book's own must be the outermost: its lock is taken before anything is read.

    @method_decorator(csrf_protect)
    def changeform_view(self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None) -> Any:
        return self._changeform_view(request, object_id, form_url, extra_context)

    @method_decorator(csrf_protect)
    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return self._delete_view(request, object_id, extra_context)

    def words(self, row: Any) -> str:
        """The event's sentence: what is true from now on."""
        return str(row)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        """Adds or changes the row through the book; nothing where nothing was changed."""
        if change and not form.changed_data:
            return
        with book(at=timezone.now()) as b:
            if change:
                self._change(b, request.user, obj, form)
            else:
                with b.event(self.kinds[0], source=Source.USER, actor=request.user, text=self.words(obj)) as fact:
                    fact.add(obj)

    def _change(self, b: OpenBook, actor: AbstractBaseUser, obj: Any, form: ModelForm) -> None:
        """The form has put its values on `obj` already: they are set on the row as it is now, under the lock."""
        row = type(obj)._default_manager.get(pk=obj.pk)
        values = {name: form.cleaned_data[name] for name in form.changed_data if name in form.cleaned_data}
        before = {name: getattr(row, name) for name in values}
        with b.event(self.kinds[1], source=Source.USER, actor=actor, text=self.words(obj), before=_plainly(before)) as fact:
            fact.set(row, **values)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with book(at=timezone.now()) as b:
            row = type(obj)._default_manager.get(pk=obj.pk)
            reason = self.reason(request)
            text = f"Removed: {self.words(row)}" + (f", because: {reason}" if reason else "")
            why = {"reason": reason} if reason else {}
            with b.event(self.kinds[2], source=Source.USER, actor=request.user, text=text[:500], **why) as fact:
                fact.remove(row)

    def reason(self, request: HttpRequest) -> str:
        """Why something is deleted, where that is asked for."""
        return ""

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in list(queryset):
            self.delete_model(request, row)


def _plainly(values: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Model) else value for name, value in values.items()}
