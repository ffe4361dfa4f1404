"""How many tasks end, and how long they wait and run: counted at each commit, by minute, for an hour."""
