"""Publishes to a stream and reads it back through a durable pull consumer, with the official Python client."""

import asyncio
import os
import sys

import nats

COUNT = 200


async def main() -> None:
    stream, subject = sys.argv[1], sys.argv[2]
    connection = await nats.connect(os.environ["NATS_URL"].split(","))
    jetstream = connection.jetstream()
    for number in range(COUNT):
        ack = await jetstream.publish(subject, str(number).encode(), headers={"Nats-Msg-Id": f"py-{number}"})
        assert ack.stream == stream and not ack.duplicate, ack
    again = await jetstream.publish(subject, b"0", headers={"Nats-Msg-Id": "py-0"})
    assert again.duplicate, again

    subscription = await jetstream.pull_subscribe(subject, durable="python", stream=stream)
    received = []
    while len(received) < COUNT:
        for message in await subscription.fetch(50, timeout=10):
            received.append(int(message.data))
            await message.ack_sync()
    assert received == list(range(COUNT)), received
    info = await jetstream.consumer_info(stream, "python")
    assert info.num_pending == 0 and info.num_ack_pending == 0, info
    await connection.close()
    print(f"published, read and acknowledged {COUNT}")


asyncio.run(main())
