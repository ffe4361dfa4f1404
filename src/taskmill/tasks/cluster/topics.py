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
LEADER: Final = "leader"  # a leader that leaves -> all others try to lead
