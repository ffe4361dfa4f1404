"""Schedules: tasks that are submitted again and again, by a cron expression or at an interval."""
