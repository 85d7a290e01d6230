"""What the child process of a log's reading does: say how far it is, and leave the summary in a file."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

from facts.errors import InputError
from facts.records import validated
from workloads.log_formats import LogFormat
from workloads.traces import log_columns, summarize
from workloads.usage import is_usage, summarize_usage


def main() -> int:
    """One request on standard input; 0 when the summary is written, else 2 with a `problem` in the last line."""
    request = json.load(sys.stdin)
    paths = [Path(path) for path in request["paths"]]
    try:
        if len(paths) == 1 and request["columns"] is None and is_usage(paths[0]):
            found: object = summarize_usage(paths[0])
        else:
            say(columns=log_columns(paths[0]))
            columns = None if request["columns"] is None else validated(LogFormat, request["columns"], "the mapping")
            found = summarize(
                paths,
                columns=columns,
                route=request["route"],
                zone=request["zone"],
                tokenizer=request["tokenizer"],
                progress=lambda share: say(share=share),
            )
    except InputError as error:
        say(problem=without_folders(str(error), [*paths, Path(request["tokenizer"] or "log")]))
        return 2
    with Path(request["result"]).open("wb") as file:
        pickle.dump(found, file)
    return 0


def say(**words: object) -> None:
    """One line to the one who asked."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def without_folders(sentence: str, paths: list[Path]) -> str:
    """A sentence about files by their names: the folder is this program's own and tells a reader nothing."""
    for path in paths:
        sentence = sentence.replace(str(path), path.name)
    return sentence


if __name__ == "__main__":
    sys.exit(main())
