"""The addresses of the desk: one URL a thing."""

urlpatterns: list = []
