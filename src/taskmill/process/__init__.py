"""Functions and processes, and the operating-system processes that isolated functions run in.

Imports nothing on purpose: a worker process passes through here each time it starts.
"""
