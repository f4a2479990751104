"""The simulated gateway: an exchange and a broker that need no network, and the sessions that make a TWS of them.

Everything in here imports the standard library and itself only, so that no client library can paper over what goes over the wire.
"""
