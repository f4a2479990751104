"""Accounts, users, and who may see or trade what.

The rule it keeps: a change of rights is an event and reaches the screens as one, so that open sockets close and waiting orders are judged
anew. Nobody is deleted: a user who leaves is made inactive, and the record keeps the name.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from orders.admin.common import BookAdmin
from orders.book import OpenBook, book
from orders.models import Account, AccountAccess
from orders.models.book import Source

User = get_user_model()


class AccountForm(forms.ModelForm):
    time_zone = forms.ChoiceField(
        choices=lambda: [(name, name) for name in sorted(available_timezones())], help_text="The trading day is counted in this zone."
    )

    class Meta:
        model = Account
        fields = ("alias", "time_zone", "session_start", "is_active")


@admin.register(Account)
class AccountAdmin(BookAdmin):
    """Accounts appear when the gateway names them and are never taken away."""

    kinds = ("account.added", "account.changed", "account.removed")
    form = AccountForm
    fields = ("code", "alias", "base_currency", "time_zone", "session_start", "is_active")
    readonly_fields = ("code", "base_currency")
    list_display = ("code", "alias", "base_currency", "time_zone", "session_start", "is_active")
    search_fields = ("code", "alias")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def words(self, row: Account) -> str:
        return f"{row.code}: {'active' if row.is_active else 'no new orders'}, {row.time_zone} from {row.session_start:%H:%M}"


@admin.register(AccountAccess)
class AccountAccessAdmin(BookAdmin):
    kinds = ("access.granted", "access.changed", "access.revoked")
    fields = ("user", "account", "level")
    list_display = ("user", "account", "level")
    list_filter = ("level", "account")
    list_select_related = ("user", "account")
    search_fields = ("user__username", "account__code")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Whose right it is stays: what was given to one is not handed to another, it is taken away and given anew."""
        return ("user", "account") if obj else ()


admin.site.unregister(User)


@admin.register(User)
class DeskUserAdmin(UserAdmin, BookAdmin):
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @method_decorator([sensitive_post_parameters(), csrf_protect])
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        """Django's, without its transaction around it: the book's own must be the outermost."""
        return self._add_view(request, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        """The user with his groups and permissions in one transaction with its event. What a password is, no event says."""
        if change and not form.changed_data:
            return
        with book(at=timezone.now()) as b:
            self._tell(b, request, obj, form.changed_data if change else ["added"], form)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        response = super().user_change_password(request, id, form_url)
        if request.method == "POST" and response.status_code == 302:
            with book(at=timezone.now()) as b:
                self._tell(b, request, User.objects.get(pk=id), ["password"])
        return response

    def _tell(self, b: OpenBook, request: HttpRequest, user: Any, changed: list[str], form: forms.ModelForm | None = None) -> None:
        kind = "user.added" if changed == ["added"] else "user.changed"
        names = ", ".join(name.replace("_", " ") for name in changed)
        state = "" if user.is_active else ", inactive"
        text = f"{user.get_username()}: {names}{state}"
        with b.event(kind, source=Source.USER, actor=request.user, text=text, user=user.get_username(), changed=changed) as fact:
            if form is not None:
                user.save()
                form.save_m2m()
            fact.show("access", user.pk, user_id=user.pk)
