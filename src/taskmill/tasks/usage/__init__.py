"""Usage by caller: how many tasks, how they ended, and how long they ran."""
