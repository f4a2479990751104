"""The vocabulary of the TWS API, by server version: received fields become dataclasses, dataclasses become fields to send.

Everything here is pure text work. The rule kept: one layout per message, with a branch only where a server version changed it.
"""
