"""What neither a database nor a ledger can tell, by name, with where it is shown instead: so that the list has no silent gap."""

from __future__ import annotations

from orders.invariants.finding import Finding

ELSEWHERE = (
    Finding("I14", "after quiet, every page shows the book", why="only a browser shows it: the browser tests compare pages with the book"),
    Finding(
        "I18",
        "memory, queues and tasks stay under their caps",
        why="only a running process shows it: the tests of slow readers, floods of frames and reconnect storms measure it",
    ),
    Finding(
        "I21",
        "what was answered is on the disk",
        why="only a power cut shows it: tests that kill processes find every answered order again; the settings ask for full syncing",
    ),
    Finding(
        "I22",
        "when faults stop, the desk is READY and its queue is empty in time",
        why="only the time after a fault shows it: the simulation and the process faults wait for it after every run",
    ),
)
