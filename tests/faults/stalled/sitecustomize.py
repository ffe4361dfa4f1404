"""A consumer that a reconnect has left behind: while a file is there, its channel forgets that anybody wants messages.

Python imports this by itself where its folder stands in PYTHONPATH. Subscribing anew mends it, and removes the file.
"""

import os

if path := os.environ.get("STALLED"):
    from taskmill.queue.drivers.receivers import Receivers

    wanted, add = Receivers.wanted, Receivers.add

    def forgets(self):
        return 0 if os.path.exists(path) else wanted(self)

    def mends(self, receiver):
        if os.path.exists(path):
            os.unlink(path)
        return add(self, receiver)

    Receivers.wanted, Receivers.add = forgets, mends
