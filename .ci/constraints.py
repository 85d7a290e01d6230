"""uv.lock -> the constraints file that holds pip to the same versions: `python .ci/constraints.py uv.lock`."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def constraints(lock: Mapping[str, Any]) -> Iterator[str]:
    """`name==version` for every locked package; with its marker where the lock holds one version per Python."""
    for package in lock["package"]:
        if "registry" not in package["source"]:
            continue  # the project itself
        markers = package.get("resolution-markers", [])
        yield f"{package['name']}=={package['version']}" + (" ; " + " or ".join(f"({marker})" for marker in markers) if markers else "")


if __name__ == "__main__":
    print("\n".join(constraints(tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))  # noqa: T201 -- its purpose
