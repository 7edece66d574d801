"""The demo's figures as a picture."""

from __future__ import annotations

import pathlib

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot  # noqa: E402  (it looks at the backend when it is imported)
from matplotlib.ticker import FuncFormatter  # noqa: E402

from measure import MIDDLING, READERS  # noqa: E402
from sandbox import MIB  # noqa: E402

# Told apart in grey, too: Okabe and Ito's blue and vermilion, and another mark.
STYLES = {"mapped": {"color": "#0072b2", "marker": "o"}, "streamed": {"color": "#d55e00", "marker": "s"}}


def draw(alone: list, shared: list, title: str, path: pathlib.Path):
    """Time and memory, over size and over readers, as an SVG file."""
    # Text stays text: smaller, and found by a search.
    pyplot.rcParams.update({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "farrow"})
    figure, ((time_size, time_readers), (memory_size, memory_readers)) = pyplot.subplots(
        2, 2, figsize=(9, 6.2), layout="constrained"
    )
    figure.suptitle(title)
    by_size = [one for one in shared if one.readers == READERS]
    by_readers = sorted((one for one in shared if one.name == MIDDLING), key=lambda one: one.readers)
    middling = by_readers[0].size / MIB
    for mode, style in STYLES.items():
        style = {**style, "label": mode, "markersize": 4, "linewidth": 1.5}
        ordered = sorted(alone, key=lambda one: one.size)
        time_size.plot([one.size / MIB for one in ordered], [getattr(one, mode) * 1e3 for one in ordered], **style)
        memory_size.plot(
            [one.size / MIB for one in by_size], [getattr(one, mode).memory / MIB for one in by_size], **style
        )
        readers = [one.readers for one in by_readers]
        time_readers.plot(readers, [getattr(one, mode).seconds * 1e3 for one in by_readers], **style)
        memory_readers.plot(readers, [getattr(one, mode).memory / MIB for one in by_readers], **style)
    time_size.set(title="Time to get a frame and read all of it, one reader", ylabel="ms")
    time_readers.set(title=f"… {middling:.0f} MiB, until the last of several has", ylabel="ms")
    memory_size.set(title=f"Memory that {READERS} readers of a frame add (PSS)", ylabel="MiB")
    memory_readers.set(title=f"… readers of {middling:.0f} MiB", ylabel="MiB")
    for axes in (time_size, memory_size):
        axes.set(xlabel="MiB of the frame", xscale="log", yscale="log")
    for axes in (time_readers, memory_readers):
        axes.set(xlabel="readers", xticks=readers)
        axes.set_ylim(bottom=0)
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for axes in figure.axes:
        axes.xaxis.set_major_formatter(plain)
        axes.yaxis.set_major_formatter(plain)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
