"""Loads a page twice over one HTTP/3 connection: `aioquic_get.py PORT CA`, as localhost."""

import asyncio
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.http = H3Connection(self._quic)
        self.answers = {}

    def quic_event_received(self, event):
        for part in self.http.handle_event(event):
            status, content, done = self.answers[part.stream_id]
            if isinstance(part, HeadersReceived):
                status.extend(value for name, value in part.headers if name == b":status")
            elif isinstance(part, DataReceived):
                content.append(part.data)
            if part.stream_ended and not done.done():
                done.set_result(b"".join(status) + b" " + b"".join(content))

    async def get(self, authority):
        stream = self._quic.get_next_available_stream_id()
        done = asyncio.get_running_loop().create_future()
        self.answers[stream] = ([], [], done)
        head = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", authority),
            (b":path", b"/"),
            (b"user-agent", b"aioquic"),
        ]
        self.http.send_headers(stream, head, end_stream=True)
        self.transmit()
        return await asyncio.wait_for(done, 30)


async def main(port, ca):
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True)
    configuration.load_verify_locations(ca)
    configuration.server_name = "localhost"
    async with connect(
        "127.0.0.1", port, configuration=configuration, create_protocol=Client
    ) as client:
        for _ in range(2):
            answer = await client.get(f"localhost:{port}".encode())
            print(answer.decode())


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
