"""Real servers for tests: started on free ports of the loopback, frozen, killed, and ended by process id."""
