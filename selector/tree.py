"""The decision tree: data, walked one question at a time; every input reaches exactly one leaf."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from math import inf
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from facts.errors import InputError
from facts.records import Fact, read_toml, validated
from selector.results import Arm, Leaf, PathStep, Placement
from selector.tasks import Family, Task, task_of
from workloads.demand import Complexity, KnowledgeChanges, LabelQuality, Residency, TaskType, Workload

TreeField = Literal[
    "complexity",
    "family",
    "domain_specific",
    "labelled_examples",
    "label_quality",
    "task_type",
    "residency",
    "latency_limit",
    "tokens_per_day",
    "knowledge_changes",
]
NUMBERS: Final = frozenset({"labelled_examples", "tokens_per_day"})
"""Fields that are numbers from 0 up; every other field is one of DOMAINS."""

DOMAINS: dict[str, tuple[str, ...]] = {
    "complexity": tuple(Complexity),
    "family": tuple(Family),
    "domain_specific": ("yes", "no"),
    "task_type": tuple(TaskType),
    "label_quality": tuple(LabelQuality),
    "residency": tuple(Residency),
    "latency_limit": ("stated", "none"),
    "knowledge_changes": tuple(KnowledgeChanges),
}
"""Every value that a categorical field can take."""


class Branch(Fact):
    """One answer to a question."""

    model_config = ConfigDict(populate_by_name=True)

    answer: str
    """The branch's label."""
    to: str
    """Id of the next node or leaf."""
    because: str
    """Why a value takes this branch; {value} is the user's."""
    any_of: tuple[str, ...] = ()
    """The values of a categorical field that take it."""
    at_least: int | None = Field(default=None, alias="from")
    """The smallest count that takes it."""
    below: int | None = None
    """The first count that no longer takes it; absent means no upper bound."""
    departs_from_article: str = ""
    """What the article says instead."""

    def takes(self, value: str | float) -> bool:
        """Whether a value goes this way."""
        if isinstance(value, str):
            return value in self.any_of
        return self.at_least is not None and self.at_least <= value and (self.below is None or value < self.below)


class Node(Fact):
    """One question."""

    id: str
    """Unique in the tree."""
    question: str
    """As the page asks it."""
    field: TreeField
    """What of the workload it looks at."""
    branch: tuple[Branch, ...]
    """The answers."""
    source: str
    """Where the rule comes from."""
    evidence: str = ""
    """What the published cases say of it."""


class TreeLeaf(Fact):
    """One piece of advice."""

    id: str
    """Unique in the tree."""
    title: str
    """In a few words."""
    advice: str
    """In a sentence."""
    arms: tuple[Arm, ...]
    """The arms it names, best first."""
    placements: tuple[Placement, ...] = ()
    """Where it would run them; empty means anywhere."""
    source: str
    """Where the rule comes from."""


class Tree(Fact):
    """A whole decision tree; its validation proves that every input reaches exactly one leaf."""

    id: str
    """Name by which it is chosen."""
    version: str
    """Raised with every change."""
    title: str
    """For the page."""
    root: str
    """Id of the first node."""
    source: str
    """Where it comes from."""
    node: tuple[Node, ...]
    """The questions."""
    leaf: tuple[TreeLeaf, ...]
    """The ends."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        ids = [*(node.id for node in self.node), *(leaf.id for leaf in self.leaf)]
        for name in ids:
            if ids.count(name) > 1:
                raise ValueError(f"'{name}' names two nodes or leaves")
        for node in self.node:
            _tiles(node)
            for branch in node.branch:
                if branch.to not in ids:
                    raise ValueError(f"node '{node.id}' leads to '{branch.to}', which is neither a node nor a leaf")
        drawn = set(self._reach(self.root, ()))
        for name in ids:
            if name not in drawn:
                raise ValueError(f"'{name}' is never reached from '{self.root}'")
        walked = self._walked()
        for name in ids:
            if name not in walked:
                raise ValueError(f"'{name}' is drawn, and no input ever reaches it: the questions above it leave no value for it")
        return self

    def node_by_id(self, node_id: str) -> Node | None:
        """The node with that id, or None when it is a leaf."""
        return next((node for node in self.node if node.id == node_id), None)

    def leaf_by_id(self, leaf_id: str) -> TreeLeaf:
        """The leaf with that id."""
        return next(leaf for leaf in self.leaf if leaf.id == leaf_id)

    def _walked(self) -> set[str]:
        """Ids that some input reaches: each question narrows what is left of the inputs, and a branch with nothing left for it is dead.

        ValueError names the dead branch: it says something that no input can be.
        """
        reached: set[str] = set()
        branches: dict[tuple[str, str], bool] = {}
        waiting, seen = [(self.root, _everything())], set()
        while waiting:
            name, space = waiting.pop()
            if (name, space) in seen:
                continue
            seen.add((name, space))
            reached.add(name)
            node = self.node_by_id(name)
            for branch in node.branch if node else ():
                left = space.narrowed(node.field, branch) if node else space
                branches[(name, branch.answer)] = branches.get((name, branch.answer), False) or not left.empty
                if not left.empty:
                    waiting.append((branch.to, left))
        for (name, answer), alive in branches.items():
            if not alive:
                raise ValueError(f"node '{name}': no input ever takes the branch '{answer}': the questions above it leave no value for it")
        return reached

    def _reach(self, name: str, above: tuple[str, ...]) -> Iterator[str]:
        if name in above:
            raise ValueError(f"the tree runs in a circle at '{name}'")
        yield name
        node = self.node_by_id(name)
        for branch in node.branch if node else ():
            yield from self._reach(branch.to, (*above, name))


def walk(tree: Tree, workload: Workload) -> tuple[tuple[PathStep, ...], Leaf]:
    """Each question with the user's value, the branch it takes and why; and the leaf where the walk ends."""
    task = task_of(workload)
    steps: list[PathStep] = []
    node = tree.node_by_id(tree.root)
    while node is not None:
        value = _value(node.field, workload, task)
        branch = next(branch for branch in node.branch if branch.takes(value))
        text = _text(node.field, value, task)
        steps.append(
            PathStep(
                node=node.id,
                question=node.question,
                value=text,
                answer=branch.answer,
                because=branch.because.replace("{value}", text),
                source=node.source,
                departs_from_article=branch.departs_from_article,
                evidence=node.evidence,
                flips=_flips(node, branch, value),
            )
        )
        end, node = branch.to, tree.node_by_id(branch.to)
    leaf = tree.leaf_by_id(end)
    found = Leaf(id=leaf.id, title=leaf.title, advice=leaf.advice, arms=leaf.arms, placements=leaf.placements, source=leaf.source)
    return tuple(steps), found


def read_tree(path: Path) -> Tree:
    """An organisation's own tree from a TOML file; InputError names the hole, the overlap or the node that is never reached."""
    return validated(Tree, read_toml(path), str(path))


def tree_from_toml(text: str, where: str = "the text") -> Tree:
    """An organisation's own tree from TOML text."""
    try:
        return validated(Tree, tomllib.loads(text), where)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{where} is not valid TOML: {error}") from None


def tree_toml(tree_id: str = "corrected") -> str:
    """The file of a tree that ships with the project, to be copied and edited."""
    load_tree(tree_id)
    return (resources.files("selector") / "data" / "trees" / f"{tree_id}.toml").read_text(encoding="utf-8")


@cache
def load_tree(tree_id: str = "corrected") -> Tree:
    """A tree that ships with the project: 'corrected' or 'seed-2026'."""
    path = resources.files("selector") / "data" / "trees" / f"{tree_id}.toml"
    if tree_id not in tree_ids():
        raise InputError(f"no tree '{tree_id}': there are {', '.join(tree_ids())}")
    return validated(Tree, read_toml(path), f"{tree_id}.toml")


def tree_ids() -> tuple[str, ...]:
    """The trees that ship with the project."""
    folder = resources.files("selector") / "data" / "trees"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def _value(field: TreeField, workload: Workload, task: Task) -> str | float:
    if field == "labelled_examples":
        return workload.labelled_examples
    if field == "tokens_per_day":
        return workload.mean_tokens_per_day
    if field == "latency_limit":
        return "stated" if workload.ttft_p95_ms or workload.tpot_p95_ms else "none"
    if field in ("label_quality", "residency", "knowledge_changes"):
        return str(getattr(workload, field))
    if field == "domain_specific":
        return "yes" if workload.domain_specific else "no"
    if field == "family":
        return str(task.family)
    if field == "task_type":
        return str(task.type)
    return str(workload.complexity)


def _text(field: TreeField, value: str | float, task: Task) -> str:
    if field == "family":
        return f"{value} ({task.because})"
    if field == "tokens_per_day":
        return f"{value:,.0f} tokens a day"
    return value.replace("_", " ") if isinstance(value, str) else f"{value:,}"


def _flips(node: Node, taken: Branch, value: str | float) -> str:
    """How far the value is from taking another branch: both numbers for a count, the other answers for a choice."""
    if isinstance(value, str):
        return "another answer: " + "; ".join(branch.answer for branch in node.branch if branch is not taken)
    ways = []
    if taken.below is not None:
        ways.append(f"{taken.below - value:,.0f} more (from {taken.below:,})")
    if taken.at_least:
        least = 1 if node.field == "labelled_examples" else 0
        ways.append(f"{value - taken.at_least + least:,.0f} fewer (below {taken.at_least:,})")
    return " or ".join(ways)


@dataclass(frozen=True)
class _Space:
    """What is left of the input space: tasks as (complexity, task type, family), ranges of numbers, and the values of every other field."""

    tasks: frozenset[tuple[str, str, str]]
    numbers: tuple[tuple[str, int, float], ...]
    choices: tuple[tuple[str, frozenset[str]], ...]

    @property
    def empty(self) -> bool:
        """No input is left."""
        return not self.tasks or any(low >= high for _, low, high in self.numbers) or any(not values for _, values in self.choices)

    def narrowed(self, field: str, branch: Branch) -> _Space:
        """What is left of it on one branch."""
        if field in _TASK_FIELDS:
            place = _TASK_FIELDS.index(field)
            return replace(self, tasks=frozenset(task for task in self.tasks if task[place] in branch.any_of))
        if field in NUMBERS:
            first, end = branch.at_least or 0, inf if branch.below is None else branch.below
            return replace(
                self,
                numbers=tuple(
                    (name, max(low, first), min(high, end)) if name == field else (name, low, high) for name, low, high in self.numbers
                ),
            )
        taken = frozenset(branch.any_of)
        return replace(self, choices=tuple((name, values & taken if name == field else values) for name, values in self.choices))


_TASK_FIELDS: Final = ("complexity", "task_type", "family")
"""Fields that hang together: a family follows from the other two."""


@cache
def _everything() -> _Space:
    """The whole input space."""
    tasks = set()
    for complexity in Complexity:
        for kind in (None, *TaskType):
            task = task_of(Workload(tokens_per_day=1.0, complexity=complexity, task_type=kind))
            tasks.add((str(complexity), str(task.type), str(task.family)))
    others = tuple((name, frozenset(values)) for name, values in DOMAINS.items() if name not in _TASK_FIELDS)
    return _Space(frozenset(tasks), tuple((name, 0, inf) for name in sorted(NUMBERS)), others)


def _tiles(node: Node) -> None:
    """ValueError unless the branches of a node cover every value of its field exactly once."""
    if node.field in NUMBERS:
        edge = 0
        for branch in sorted(node.branch, key=lambda branch: -1 if branch.at_least is None else branch.at_least):
            if branch.any_of or branch.at_least != edge:
                raise ValueError(f"node '{node.id}': the branch '{branch.answer}' begins at {branch.at_least}, {edge} is wanted")
            edge = -1 if branch.below is None else branch.below
        if edge != -1:
            raise ValueError(f"node '{node.id}': no branch takes {edge} and more")
        return
    taken = [value for branch in node.branch for value in branch.any_of]
    for value in DOMAINS[node.field]:
        if taken.count(value) != 1:
            raise ValueError(f"node '{node.id}': '{value}' is taken by {taken.count(value)} branches, one is wanted")
    for value in taken:
        if value not in DOMAINS[node.field]:
            raise ValueError(f"node '{node.id}': '{value}' is no value of {node.field}")
