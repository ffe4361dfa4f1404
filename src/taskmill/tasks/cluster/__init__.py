"""Several nodes on one database: who is there, who leads, and what becomes of the tasks of the dead."""
