"""What nodes tell one another by signals: that something is new, never what. The rows say that.

A signal may be lost, so whoever hears one polls as well: each line says who sends it, and who looks then.
"""

from __future__ import annotations

from typing import Final

PLAIN: Final = "plain"  # a node that took submissions -> the leader reads fresh rows
QUEUED: Final = (
    "queued"  # a node that queued tasks which had been there before -> the leader reads all that waits
)
DUE: Final = "due"  # a node that put a task off -> the leader's alarm
CANCEL: Final = "cancel"  # a node that cancelled tasks -> all look whether they run one of them
PAUSE: Final = "pause"  # a node that paused or resumed a queue -> all mirror the table of pauses
SCHEDULES: Final = "schedules"  # a node that changed a schedule -> the leader's scheduler
AWAITED: Final = (
    "awaited"  # a node where somebody waits for tasks to end -> all tell when theirs do, for some seconds
)
FOLLOW: Final = "follow"  # a node that stored tasks which follow others -> all heed the ends of theirs
ENDED: Final = "ended"  # a node whose tasks have ended, where that was asked -> those who asked look
WATCHED: Final = (
    "watched"  # a node with streams of events -> the others tell what happens there, for some seconds
)
HAPPENED: Final = "happened"  # a node that has told it -> those with streams read that
LEADER: Final = "leader"  # a leader that leaves -> all others try to lead
