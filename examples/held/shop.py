"""A shop with a database of its own: each order that is stored has its task, and no task is for an order that is not.

python shop.py http://127.0.0.1:8080 shop.db order "a kettle"
python shop.py http://127.0.0.1:8080 shop.db recover
"""

import json
import sqlite3
import sys
import urllib.error
import urllib.request


class Shop:
    """Orders in a file, and their tasks on a server."""

    def __init__(self, url: str, path: str) -> None:
        self.url = url
        self.orders = sqlite3.connect(path)
        self.orders.execute("CREATE TABLE IF NOT EXISTS orders (item TEXT, task TEXT, released INTEGER)")

    def order(self, item: str) -> None:
        """Store an order and have its task run: both, or neither."""
        task = self.hold(item)
        self.store(item, task)
        self.release(task)
        self.note(task)

    def recover(self) -> None:
        """After a crash, release again what may not have been: twice does no harm."""
        for (task,) in self.orders.execute("SELECT task FROM orders WHERE NOT released").fetchall():
            self.release(task)
            self.note(task)

    def hold(self, item: str) -> str:
        """1. Store the task on the server. Nobody runs it yet, and it is cancelled if nothing more comes."""
        return self.post("/tasks", {"action": "uppercase", "data": {"text": item}, "hold": "60s"})

    def store(self, item: str, task: str) -> None:
        """2. Commit the order with the id of its task: from here on both are to be."""
        with self.orders:
            self.orders.execute("INSERT INTO orders VALUES (?, ?, 0)", (item, task))

    def release(self, task: str) -> None:
        """3. Let the task run."""
        self.post(f"/tasks/{task}/release", {})

    def note(self, task: str) -> None:
        """4. Remember that, so that nobody asks again."""
        with self.orders:
            self.orders.execute("UPDATE orders SET released = 1 WHERE task = ?", (task,))

    def post(self, path: str, body: object) -> str:
        """Send a request; return the id in its answer."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(json.load(answer)["id"])


if __name__ == "__main__":
    shop = Shop(*sys.argv[1:3])
    getattr(shop, sys.argv[3])(*sys.argv[4:])
