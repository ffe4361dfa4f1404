"""Callbacks: a URL is told how a task has ended. Each such message is a task of its own, which follows that one."""
