"""Prints who comes and goes. It speaks the protocol itself: docs/protocol.md, version 2.

The protocol asks a client to resume from its last `seq`, to send a new token in time, to
reconnect by the close code, and to notice a silent connection. That is all there is to it.
"""

import asyncio
import json
import os
import random
import sys
import urllib.request

import websockets

ROLLCALL_URL = os.environ.get("ROLLCALL_URL", "ws://127.0.0.1:8000/ws")
APPLICATION_URL = os.environ.get("APPLICATION_URL", "http://127.0.0.1:3000")

# The server sends something every 25 seconds at least.
SILENT_SECONDS = 60
# Another attempt would not help: refused, message too large, too many connections.
FINAL_CODES = {1008, 1009, 4429}


def log_in(user):
    """Logs in at the application. Returns a function that asks it for a token."""
    cookies = urllib.request.HTTPCookieProcessor()
    opener = urllib.request.build_opener(cookies)
    opener.open(f"{APPLICATION_URL}/login", f"user={user}".encode())
    return lambda: opener.open(f"{APPLICATION_URL}/rollcall-token", b"").read().decode()


class Presence:
    """Who is online, as of the position `seq` of the server's feed."""

    def __init__(self):
        self.users = {}
        self.seq = None

    def take(self, message):
        users = dict(self.users)
        if message["type"] == "presence_state":
            users = {user["id"]: user["username"] for user in message["users"]}
        elif message["type"] == "presence_diff":
            users.update((user["id"], user["username"]) for user in message["online"])
            for user_id in message["offline"]:
                users.pop(user_id, None)
        elif message["type"] == "presence_count":
            print(f"{message['online']} users are online")
        self.report(users)
        self.users = users
        # After a count there is nothing to resume from.
        self.seq = None if message["type"] == "presence_count" else message.get("seq", self.seq)

    def report(self, users):
        for user_id in users.keys() - self.users.keys():
            print(f"{users[user_id]} is online", flush=True)
        for user_id in self.users.keys() - users.keys():
            print(f"{self.users[user_id]} is offline", flush=True)


async def follow(presence, get_token):
    """Follows one connection until it ends."""
    token = await asyncio.to_thread(get_token)
    since = "" if presence.seq is None else f"?since={presence.seq}"
    protocols = ["rollcall.v2", f"bearer.{token}"]
    async with websockets.connect(ROLLCALL_URL + since, subprotocols=protocols) as socket:
        try:
            while True:
                text = await asyncio.wait_for(socket.recv(), SILENT_SECONDS)
                message = json.loads(text)
                presence.take(message)
                if message.get("code") == "token_expiring":
                    token = await asyncio.to_thread(get_token)
                    await socket.send(json.dumps({"type": "refresh", "token": token}))
        except asyncio.CancelledError:
            # Ctrl-C: the user is offline at once, and not after the grace of the server.
            await socket.close(1000, "leave")
            raise


async def main(user):
    get_token = await asyncio.to_thread(log_in, user)
    presence = Presence()
    failures = 0
    while True:
        seq = presence.seq
        try:
            await follow(presence, get_token)
        except websockets.ConnectionClosed as closed:
            code = 1006 if closed.rcvd is None else closed.rcvd.code
            if code in FINAL_CODES:
                sys.exit(f"closed for good: {closed.rcvd.code} {closed.rcvd.reason}")
            print(f"reconnecting after {code}", flush=True)
        except (OSError, asyncio.TimeoutError, websockets.InvalidHandshake) as error:
            print(f"reconnecting after {error!r}", flush=True)
        failures = 0 if presence.seq != seq else failures + 1
        # Not all clients of a server that stopped come back in the same moment.
        await asyncio.sleep(random.uniform(0, min(30, 2**failures)))


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except KeyboardInterrupt:
        pass
