"""The tests, one folder for each room. A package, so that `tests/probes` is never taken for `probes`."""
