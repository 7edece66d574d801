"""Refuses subinterpreters, which neither pyarrow nor the native module can be used in."""

try:
    import _interpreters as _known
except ImportError:
    try:
        # Before Python 3.13.
        import _xxsubinterpreters as _known
    except ImportError:
        _known = None

if _known is not None and _known.get_current() != _known.get_main():
    raise ImportError(
        "farrow cannot be used in a subinterpreter: leases belong to the process, and pyarrow works in the main "
        "interpreter only. Use farrow there, or in a process of its own"
    )
