"""The application: tasks as rows, actions as typed functions, and the API over both.

Imports nothing on purpose: a worker process passes through here each time it starts.
"""
