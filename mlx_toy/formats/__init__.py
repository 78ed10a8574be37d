"""Readers of files that strangers wrote, one module a format, run only in a process of their own.

`__main__.py` is that process and `mlx_toy/format_process.py` starts it. Nothing here imports a
model or the store, so that it starts in a fraction of a second.
"""
