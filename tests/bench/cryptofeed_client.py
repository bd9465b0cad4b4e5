"""cryptofeed as a client of the simulated exchange, in an environment of its own: see `bench_collector.py`.

Run by that environment's Python: `cryptofeed_client.py URL SECONDS`. Every state's best levels are recorded in
memory. Its websocket takes `wss://` only, which nobody speaks on loopback: the address is turned behind its check.
"""

import asyncio
import json
import sys
import time

from cryptofeed import FeedHandler, feed
from cryptofeed.connection import RestEndpoint, WebsocketEndpoint, WSAsyncConn
from cryptofeed.defines import L2_BOOK
from cryptofeed.exchanges import OKX

SYMBOLS = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"]
DEPTH = 50


class Loopback(WSAsyncConn):
    """A connection to a server without TLS."""

    async def _open(self):
        self.address = self.address.replace("wss://", "ws://", 1)
        await super()._open()


def local(url):
    """OKX with its addresses below the simulated one."""
    host = url.partition("://")[2]
    socket, rest = OKX.websocket_endpoints[0], OKX.rest_endpoints[0]

    class Local(OKX):
        websocket_endpoints = [  # noqa: RUF012
            WebsocketEndpoint(socket.address.replace("wss://", f"wss://{host}/"), options=socket.options)
        ]
        rest_endpoints = [RestEndpoint(rest.address.replace("https://", f"{url}/"), routes=rest.routes)]  # noqa: RUF012

    return Local


async def main(url, seconds):
    feed.WSAsyncConn = Loopback
    kept, states = [], 0

    async def on_book(book, _received):
        nonlocal states
        bids, asks = book.book.bids, book.book.asks
        sides = [side.to_list()[:DEPTH] for side in (bids, asks)]
        kept.append((book.symbol, book.timestamp, *sides))
        states += 1
        if len(kept) > 5000:
            kept.clear()

    handler = FeedHandler(config={"log": {"filename": "/dev/null", "level": "ERROR"}, "uvloop": True})
    wanted = {"symbols": SYMBOLS, "channels": [L2_BOOK], "callbacks": {L2_BOOK: on_book}}
    handler.add_feed(local(url)(**wanted, checksum_validation=False))
    handler.run(start_loop=False, install_signal_handlers=False)
    while states < 1000:
        await asyncio.sleep(0.05)
    began, before = time.process_time(), states
    await asyncio.sleep(seconds)
    spent, handled = time.process_time() - began, states - before
    print(json.dumps({"us": spent / handled * 1e6, "frames": handled, "states": handled}), flush=True)


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main(sys.argv[1], float(sys.argv[2])))
    sys.stdout.flush()
    sys.exit()
