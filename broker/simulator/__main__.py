"""`python -m broker.simulator`: the simulated gateway without Django."""

from broker.simulator.running import main

main()
