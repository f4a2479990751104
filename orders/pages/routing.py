"""Where the WebSocket is."""

from django.urls import path

from orders.pages.consumers import LiveConsumer

websocket_urlpatterns = [path("live/", LiveConsumer.as_asgi())]
