"""The addresses of the desk: the way in and out, the administration, and the pages of the book.

The rule it keeps: everything but the login page asks for a login; the settings' LoginRequiredMiddleware sees to it.
"""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "Deskbook"
admin.site.index_title = "Administration"

handler500 = "oms_site.unavailable.failed"

urlpatterns = [
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("", include("orders.pages.urls")),
]
