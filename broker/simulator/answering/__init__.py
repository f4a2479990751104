"""How the simulated gateway answers: what each request of a client does to the exchange or reads from it, and whom its events are told.

Handlers queue answers on sessions and never touch a socket. The rule kept: every request is answered, if only with an error that names it.
"""
