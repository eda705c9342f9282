"""A Parlor client in Python: python3 chat.py ws://localhost:8080/chat lobby ada

Lines of the standard input are posted, messages of the room are printed. It resumes after a cut and repeats posts that
were not acknowledged under the same key, so that each message is stored once and shown once.
"""

import asyncio
import json
import random
import secrets
import sys
import time

import websockets

# The server knows a key for ten minutes; a post that was first sent longer ago may not be repeated.
KEY_SECONDS = 9 * 60
ANSWER_SECONDS = 30
TRANSIENT = {"rate_limited", "unavailable", "not_joined"}


class Gone(Exception):
    """The connection is over; everything is tried again on the next one."""


class Client:
    def __init__(self, url, room, name):
        self.url, self.room, self.name = url, room, name
        self.position = {}  # epoch and after: where to resume
        self.token = None  # who we are
        self.outbox = asyncio.Queue()
        self.pending = None  # the post under way: key, body, and when it was first sent
        self.answers = {}
        self.next_id = 1

    async def run(self):
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                async with websockets.connect(self.url, open_timeout=10, ping_interval=20, ping_timeout=8) as socket:
                    if await self.session(socket):
                        return
            except (OSError, asyncio.TimeoutError, Gone, websockets.WebSocketException) as error:
                print(f"disconnected: {error}", file=sys.stderr)
            attempt = 0 if time.monotonic() - began > 10 else attempt + 1
            # Jittered, so that all who lost one gateway do not come back in step.
            await asyncio.sleep(min(30, 2 ** min(attempt, 5)) * random.uniform(0.1, 1) / 2)

    async def session(self, socket):
        """One connection. True when everything was said and the input has ended."""
        reader = asyncio.create_task(self.read(socket))
        try:
            writer = asyncio.create_task(self.write(socket))
            done, _ = await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            writer.cancel()
            for task in done:
                task.result()
            return writer in done
        finally:
            reader.cancel()
            for answer in self.answers.values():
                answer.cancel()
            self.answers.clear()

    async def read(self, socket):
        async for text in socket:
            frame = json.loads(text)
            if answer := self.answers.pop(frame.get("id"), None):
                # The position of a join counts before any message that follows it.
                if frame["op"] == "joined":
                    self.joined(frame)
                answer.set_result(frame)
            elif frame["op"] == "messages":
                self.show(frame)
            elif frame["op"] == "gap":
                self.gap(frame)
            elif frame["op"] == "moved":
                # A gateway that is drained: come back, on another one, when it says so.
                await asyncio.sleep(frame["after"] / 1000)
                raise Gone("the server asked to move")
        raise Gone("the connection was closed")

    async def write(self, socket):
        while True:
            join = {"op": "join", "room": self.room, "name": self.name, "token": self.token, **self.position}
            answer = await self.ask(socket, join)
            if answer["op"] == "joined":
                break
            await self.refused(answer)
        while True:
            if self.pending is None:
                line = await self.outbox.get()
                if line is None:
                    return
                self.pending = {"key": secrets.token_hex(16), "body": {"text": line}, "first": None}
            await self.post(socket)

    async def post(self, socket):
        post = self.pending
        if post["first"] and time.monotonic() - post["first"] > KEY_SECONDS:
            print(f"may not have arrived: {post['body']['text']}", file=sys.stderr)
            self.pending = None
            return
        post["first"] = post["first"] or time.monotonic()
        answer = await self.ask(socket, {"op": "post", "room": self.room, "key": post["key"], "body": post["body"]})
        if answer["op"] == "posted":
            self.pending = None
        else:
            await self.refused(answer)

    async def refused(self, error):
        if error["code"] == "not_joined":
            raise Gone("the room has to be joined again")
        if error["code"] not in TRANSIENT:
            sys.exit(f"{error['code']}: {error['message']}")
        await asyncio.sleep(error.get("retry", 1000) / 1000 * random.uniform(1, 1.5))

    async def ask(self, socket, frame):
        number = self.next_id
        self.next_id += 1
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        frame = {name: value for name, value in frame.items() if value is not None}
        await socket.send(json.dumps({**frame, "id": number}))
        return await asyncio.wait_for(answer, ANSWER_SECONDS)

    def joined(self, frame):
        self.token = frame["you"]["token"]
        if not self.position:
            self.position = {"epoch": frame["epoch"], "after": frame["seq"]}
        elif frame["recovered"]:
            self.position["epoch"] = frame["epoch"]
        # Else a gap follows, and only then the position is a new one.
        self.head = frame

    def show(self, frame):
        self.position["epoch"] = frame.get("epoch", self.position["epoch"])
        for item in frame["items"]:
            if item["seq"] > self.position["after"]:
                self.position["after"] = item["seq"]
                print(f"{item['seq']} {item['from']['name']}: {item['body'].get('text', item['body'])}", flush=True)

    def gap(self, frame):
        print(f"missing: {frame['from']} to {frame.get('to', 'unknown')}", flush=True)
        after = frame["to"] if "to" in frame else self.head["seq"]
        self.position = {"epoch": frame["epoch"], "after": after}


async def main(url, room, name):
    client = Client(url, room, name)
    loop = asyncio.get_running_loop()

    async def lines():
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            await client.outbox.put(line.rstrip("\n"))
        await client.outbox.put(None)

    reading = asyncio.create_task(lines())
    await client.run()
    await reading


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: chat.py ws://HOST/chat ROOM NAME")
    asyncio.run(main(*sys.argv[1:]))
