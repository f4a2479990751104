"""The addresses of the desk: one URL a thing."""

from django.urls import path

from orders.pages import panels_view
from orders.pages.views import contracts, desk, history, orders, pickers, positions, recovery, repair, ticket, watchlist

urlpatterns = [
    path("", desk.desk, name="desk"),
    path("find/", desk.find, name="find"),
    path("panels/<slug:name>/", panels_view.panel, name="panel"),
    path("ticket/", ticket.ticket, name="ticket"),
    path("ticket/pick/", pickers.pick, name="ticket_pick"),
    path("ticket/option/", pickers.option, name="ticket_option"),
    path("ticket/search/", contracts.search, name="ticket_search"),
    path("ticket/stamp/", ticket.stamp, name="ticket_stamp"),
    path("ticket/watch/", ticket.watch, name="ticket_watch"),
    path("ticket/contract/<int:con_id>/", ticket.choose, name="ticket_contract"),
    path("submissions/<str:key>/", ticket.submission, name="submission"),
    path("orders/", history.history, name="history"),
    path("orders/csv/", history.history_file, name="history_csv"),
    path("orders/cancel-all/<str:code>/", orders.cancel_all, name="cancel_all"),
    path("orders/<str:client_order_id>/", orders.order, name="order"),
    path("orders/<str:client_order_id>/change/", orders.change, name="change"),
    path("orders/<str:client_order_id>/cancel/", orders.cancel, name="cancel"),
    path("orders/<str:client_order_id>/conclude/", orders.conclude, name="conclude"),
    path("orders/<str:client_order_id>/send-again/", orders.send_again, name="send_again"),
    path("orders/<str:client_order_id>/ask-again/", orders.ask_again, name="ask_again"),
    path("orders/<str:client_order_id>/seen/", orders.seen, name="seen"),
    path("orders/<str:client_order_id>/adopt/", orders.adopt, name="adopt"),
    path("positions/", desk.positions, name="positions"),
    path("positions/<str:code>/<int:con_id>/close/", positions.close, name="close"),
    path("positions/<str:code>/<int:con_id>/protect/", positions.protect, name="protect"),
    path("positions/<str:code>/<int:con_id>/repair/", repair.repair, name="repair"),
    path("executions/", desk.executions, name="executions"),
    path("recovery/", recovery.recovery, name="recovery"),
    path("recovery/<int:pk>/", recovery.certificate, name="certificate"),
    path("recovery/incidents/<int:pk>/take/", recovery.take, name="incident_take"),
    path("recovery/incidents/<int:pk>/close/", recovery.close, name="incident_close"),
    path("watchlist/", watchlist.watchlist, name="watchlist"),
    path("watchlist/add/", watchlist.add, name="watchlist_add"),
    path("watchlist/<int:con_id>/remove/", watchlist.remove, name="watchlist_remove"),
]
