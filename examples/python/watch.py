"""Waits for what others publish: `python watch.py [PREFIX [EVENTS]]`.

Shows that a reader is told of each commit, and maps what it is told of. It ends after so many events, or with Ctrl-C.
The agent is found through FARROW_ADDRESS, or at its usual socket.
"""

import itertools
import sys

import farrow

prefix = sys.argv[1] if len(sys.argv) > 1 else ""
events = int(sys.argv[2]) if len(sys.argv) > 2 else None

with farrow.connect() as client:
    watched = client.watch(prefix)
    print(f"watching {prefix}", flush=True)
    for event in itertools.islice(watched, events):
        if event.kind == "committed":
            version = f"{event.name}@{event.version}"
            try:
                frame = client.get(version)
                print(f"{version}: {frame.num_rows} rows, mapped: {frame.zero_copy}", flush=True)
            except farrow.NotFound:
                print(f"{version}: was dropped since", flush=True)
        else:
            # Dropped, or perhaps dropped: the agent was away, or this reader was slow.
            print(f"{event.kind}: {event.name}, the latest version is {event.version}", flush=True)
