"""Process faults: real processes are killed, frozen and starved while orders pass through them, on SQLite and on PostgreSQL.

The rule it keeps: each row ends the same way. Everything is healed, every request whose answer was lost is sent again with its key, and
when the desk is at rest book, exchange and the exchange's own ledger are compared.
"""
