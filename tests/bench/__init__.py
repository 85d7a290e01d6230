"""What a user waits for, timed. Each module here has a `main()` that gives back Timings; `make bench` runs them all.

Nothing here fails for being slow: the numbers depend on the machine and on what else it does.
"""
