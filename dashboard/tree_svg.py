"""The decision tree as SVG with the walked path and the user's values in it, the same on the page and on paper.

Questions stand in a column, the advice they end in beside them. An answer that leads to another question runs down the left
side, one that ends in advice runs to the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from xml.sax.saxutils import escape, quoteattr

from dashboard.text_width import wrapped
from selector.results import Leaf, PathStep


class Branch(Protocol):
    """One answer of a question: its label and the id it leads to."""

    @property
    def answer(self) -> str:
        """The label."""
        ...

    @property
    def to(self) -> str:
        """Id of the next question or advice."""
        ...


class Question(Protocol):
    """One question of the tree."""

    @property
    def id(self) -> str:
        """Unique in the tree."""
        ...

    @property
    def question(self) -> str:
        """As the page asks it."""
        ...

    @property
    def branch(self) -> Sequence[Branch]:
        """The answers."""
        ...


class Advice(Protocol):
    """One end of the tree."""

    @property
    def id(self) -> str:
        """Unique in the tree."""
        ...

    @property
    def title(self) -> str:
        """In a few words."""
        ...


class DecisionTree(Protocol):
    """What is drawn."""

    @property
    def root(self) -> str:
        """Id of the first question."""
        ...

    @property
    def node(self) -> Sequence[Question]:
        """The questions."""
        ...

    @property
    def leaf(self) -> Sequence[Advice]:
        """The ends."""
        ...


@dataclass(frozen=True, kw_only=True)
class TreeColours:
    """Colours by their part; CSS variables on the page, plain colours on paper."""

    font: str
    ink: str
    muted: str
    box: str
    border: str
    walked: str
    walked_box: str
    page: str


PAGE_COLOURS = TreeColours(
    font="var(--st-font)",
    ink="var(--st-text-color)",
    muted="var(--tree-muted)",
    box="var(--st-secondary-background-color)",
    border="var(--tree-border)",
    walked="var(--st-link-color)",
    walked_box="var(--tree-walked-box)",
    page="var(--st-background-color)",
)
PAPER_COLOURS = TreeColours(
    font="'Source Sans Pro'",
    ink="#1F2937",
    muted="#4B5563",
    box="#F3F5F8",
    border="#9AA3AF",
    walked="#0B5CAD",
    walked_box="#E3EEFA",
    page="#FFFFFF",
)

LANE, LANE_MARGIN = 9.0, 16.0


@dataclass(frozen=True, kw_only=True)
class Space:
    """Where a tree is drawn.

    wide: the whole picture
    node_right: where the questions end
    leaf_left: where the advice begins
    """

    wide: float
    node_right: float
    leaf_left: float

    @property
    def leaf_wide(self) -> float:
        """Of a box with advice."""
        return self.wide - self.leaf_left - 4


DESK = Space(wide=820.0, node_right=520.0, leaf_left=612.0)
PHONE = Space(wide=420.0, node_right=262.0, leaf_left=302.0)
"""Drawn at a phone's width its letters are 11 px tall."""
PAD, LINE, ANSWER_GAP, NODE_GAP = 10.0, 17.0, 2.0, 16.0
QUESTION_PX, ANSWER_PX = 14.0, 13.0


def tree_svg(
    tree: DecisionTree,
    path: Sequence[PathStep],
    leaf: Leaf,
    *,
    colours: TreeColours = PAPER_COLOURS,
    interactive: bool = False,
    space: Space = DESK,
) -> str:
    """The whole tree with the walk highlighted; `interactive` makes every question and advice a focusable button."""
    layout = _layout(tree, {step.node: step for step in path}, leaf, space)
    picture = _Picture(colours, interactive)
    for edge in sorted(layout.edges, key=lambda edge: edge.walked):
        picture.edge(edge)
    for box in layout.boxes:
        picture.box(box)
    alt = "Decision tree. " + path_text(path, leaf)
    role = "group" if interactive else "img"
    label = f'role="{role}" aria-label={quoteattr(alt)}'
    size = f'width="{_n(space.wide)}" height="{_n(layout.height)}" viewBox="0 0 {_n(space.wide)} {_n(layout.height)}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>', *picture.parts, "</svg>"])


def answer_text(step: PathStep) -> str:
    """The branch taken and why, in a sentence; the value, which stands before it, is not said again."""
    because = step.because
    for mark in (":", ";", ""):
        if because.startswith(step.value + mark) and (mark or because == step.value):
            because = because.removeprefix(step.value + mark).strip()
            break
    return f"{step.answer}{': ' if because else ''}{because}."


def path_text(path: Sequence[PathStep], leaf: Leaf) -> str:
    """The walk in one line: for screen readers and as alternative text."""
    steps = "; ".join(f"{step.question} You: {step.value}. Answer: {step.answer}" for step in path)
    return f"{steps}. Leads to: {leaf.title}."


def reading_order(tree: DecisionTree) -> list[Question]:
    """The questions so that every arrow points down: by the longest way from the root."""
    by_id = {node.id: node for node in tree.node}
    depth: dict[str, int] = {}

    def descend(node_id: str, level: int) -> None:
        if node_id in by_id and depth.get(node_id, -1) < level:
            depth[node_id] = level
            for branch in by_id[node_id].branch:
                descend(branch.to, level + 1)

    descend(tree.root, 0)
    return sorted((by_id[node_id] for node_id in depth), key=lambda node: depth[node.id])


# ---- layout ----


@dataclass(kw_only=True)
class _Answer:
    lines: list[str]
    top: float
    tall: float
    to: str
    taken: bool

    @property
    def middle(self) -> float:
        return self.top + self.tall / 2


@dataclass(kw_only=True)
class _Box:
    id: str
    left: float
    top: float
    wide: float
    tall: float
    title: list[str]
    walked: bool
    name: str
    value: list[str] = field(default_factory=list)
    answers: list[_Answer] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return self.top + self.tall / 2

    @property
    def right(self) -> float:
        return self.left + self.wide


@dataclass(kw_only=True)
class _Edge:
    d: str
    walked: bool
    head: tuple[float, float]


@dataclass(kw_only=True)
class _Layout:
    boxes: list[_Box]
    edges: list[_Edge]
    height: float


def _layout(tree: DecisionTree, steps: dict[str, PathStep], leaf: Leaf, space: Space) -> _Layout:
    questions = reading_order(tree)
    lanes = _lanes(questions)
    left = LANE_MARGIN + LANE * (max(lanes.values(), default=0) + 1)
    nodes: list[_Box] = []
    top = 4.0
    for question in questions:
        box = _node_box(question, steps.get(question.id), left, top, space.node_right - left)
        nodes.append(box)
        top += box.tall + NODE_GAP
    leaves = _leaf_boxes(tree, nodes, leaf, space)
    height = max([top - NODE_GAP, *(box.top + box.tall for box in leaves)]) + 4
    return _Layout(boxes=[*nodes, *leaves], edges=_edges(nodes, leaves, lanes), height=height)


def _lanes(questions: Sequence[Question]) -> dict[str, int]:
    """The lane at the left on which the arrows to each question run; two that pass the same height never share one."""
    order = {question.id: index for index, question in enumerate(questions)}
    spans: dict[str, tuple[int, int]] = {}
    for question in questions:
        for branch in question.branch:
            if branch.to in order:
                start = min(order[question.id], spans.get(branch.to, (len(order), 0))[0])
                spans[branch.to] = (start, order[branch.to])
    lanes: dict[str, int] = {}
    for target, (start, end) in sorted(spans.items(), key=lambda item: item[1][1] - item[1][0]):
        taken = {lanes[other] for other in lanes if spans[other][0] < end and start < spans[other][1]}
        lanes[target] = next(lane for lane in range(len(order) + 1) if lane not in taken)
    return lanes


def _node_box(question: Question, step: PathStep | None, left: float, top: float, wide: float) -> _Box:
    inside = wide - 2 * PAD
    title = wrapped(question.question, QUESTION_PX, inside)
    if step is None:
        return _passed_by(question, title, left, top, wide)
    value = wrapped(f"You: {step.value}", ANSWER_PX, inside)
    y = top + PAD + LINE * (len(title) + len(value)) + 2
    answers = []
    for branch in question.branch:
        taken = step.answer == branch.answer
        lines = wrapped(branch.answer, ANSWER_PX, inside - 16)
        tall = LINE * len(lines) + (8 if taken else 0)
        answers.append(_Answer(lines=lines, top=y, tall=tall, to=branch.to, taken=taken))
        y += tall + ANSWER_GAP
    name = f"{question.question} You: {step.value}. Answer: {step.answer}"
    tall = y - ANSWER_GAP + PAD - top
    return _Box(id=question.id, left=left, top=top, wide=wide, tall=tall, title=title, walked=True, name=name, value=value, answers=answers)


def _passed_by(question: Question, title: list[str], left: float, top: float, wide: float) -> _Box:
    """A question that is not on the path: its answers in one line."""
    summary = wrapped(" · ".join(branch.answer for branch in question.branch), ANSWER_PX, wide - 2 * PAD)
    tall = 2 * PAD + LINE * (len(title) + len(summary)) - 2
    step = tall / (len(question.branch) + 1)
    answers = [_Answer(lines=[], top=top + step * (n + 1), tall=0.0, to=branch.to, taken=False) for n, branch in enumerate(question.branch)]
    name = f"{question.question} Not asked on your path"
    return _Box(
        id=question.id, left=left, top=top, wide=wide, tall=tall, title=title, walked=False, name=name, answers=answers, summary=summary
    )


def _leaf_boxes(tree: DecisionTree, nodes: Sequence[_Box], reached: Leaf, space: Space) -> list[_Box]:
    """Each advice beside the answers that lead to it, pushed down where two would overlap, then back up where they may."""
    boxes = []
    for leaf in tree.leaf:
        comes_from = [answer.middle for node in nodes for answer in node.answers if answer.to == leaf.id]
        title = wrapped(leaf.title, QUESTION_PX, space.leaf_wide - 2 * PAD)
        tall = LINE * len(title) + 2 * PAD - 4
        at = sum(comes_from) / len(comes_from) if comes_from else 0.0
        name = f"Advice: {leaf.title}" + (", where your path ends" if leaf.id == reached.id else "")
        boxes.append(
            _Box(
                id=leaf.id,
                left=space.leaf_left,
                top=at - tall / 2,
                wide=space.leaf_wide,
                tall=tall,
                title=title,
                walked=leaf.id == reached.id,
                name=name,
            )
        )
    boxes.sort(key=lambda box: box.middle)
    floor = 4.0
    for box in boxes:
        box.top = max(box.top, floor)
        floor = box.top + box.tall + 12
    ceiling = max([node.top + node.tall for node in nodes], default=floor)
    for box in reversed(boxes):
        box.top = max(4.0, min(box.top, ceiling - box.tall)) if floor > ceiling else box.top
        ceiling = box.top - 12
    return boxes


def _edges(nodes: Sequence[_Box], leaves: Sequence[_Box], lanes: dict[str, int]) -> list[_Edge]:
    questions, ends = {box.id: box for box in nodes}, {box.id: box for box in leaves}
    edges = []
    for node in nodes:
        for answer in node.answers:
            if answer.to in ends:
                edges.append(_edge_to_leaf(node, answer, ends[answer.to]))
            elif answer.to in questions:
                edges.append(_edge_to_node(node, answer, questions[answer.to], lanes[answer.to]))
    return edges


def _edge_to_leaf(node: _Box, answer: _Answer, leaf: _Box) -> _Edge:
    x0, y0, x1, y1 = node.right - (PAD if answer.lines else 0.0), answer.middle, leaf.left - 7, leaf.middle
    bend = (node.right + leaf.left) / 2
    d = f"M{_n(x0)} {_n(y0)} H{_n(node.right + 6)} C{_n(bend)} {_n(y0)} {_n(bend)} {_n(y1)} {_n(x1 - 6)} {_n(y1)} H{_n(x1)}"
    return _Edge(d=d, walked=answer.taken, head=(x1, y1))


def _edge_to_node(node: _Box, answer: _Answer, target: _Box, lane: int) -> _Edge:
    x, y1 = node.left - LANE_MARGIN - LANE * lane, target.top + PAD + LINE / 2
    start, end, bow = node.left + (PAD if answer.lines else 0.0), target.left - 7, 7.0
    d = f"M{_n(start)} {_n(answer.middle)} H{_n(x + bow)} Q{_n(x)} {_n(answer.middle)} {_n(x)} {_n(answer.middle + bow)}"
    return _Edge(d=f"{d} V{_n(y1 - bow)} Q{_n(x)} {_n(y1)} {_n(x + bow)} {_n(y1)} H{_n(end)}", walked=answer.taken, head=(end, y1))


# ---- drawing ----


class _Picture:
    """SVG parts in drawing order."""

    def __init__(self, colours: TreeColours, interactive: bool) -> None:
        self.colours = colours
        self.interactive = interactive
        self.parts: list[str] = []

    def edge(self, edge: _Edge) -> None:
        colour, width = (self.colours.walked, 2.6) if edge.walked else (self.colours.border, 1.2)
        self.parts.append(f'<path d="{edge.d}" fill="none" style="stroke:{colour};stroke-width:{width}"/>')
        x, y = edge.head
        self.parts.append(f'<path d="M{_n(x)} {_n(y - 4.5)} L{_n(x + 7)} {_n(y)} L{_n(x)} {_n(y + 4.5)} Z" style="fill:{colour}"/>')

    def box(self, box: _Box) -> None:
        colours = self.colours
        press = f' tabindex="0" role="button" data-node={quoteattr(box.id)} aria-label={quoteattr(box.name)}' if self.interactive else ""
        self.parts.append(f"<g{press}>")
        self._rect(
            box,
            8,
            colours.walked if box.walked else colours.border,
            colours.walked_box if box.walked else colours.box,
            2 if box.walked else 1,
        )
        y = box.top + PAD + LINE - 5
        for line in box.title:
            self._text(box.left + PAD, y, line, QUESTION_PX, colours.ink, weight=600)
            y += LINE
        for line in box.value:
            self._text(box.left + PAD, y, line, ANSWER_PX, colours.walked, weight=600)
            y += LINE
        for line in box.summary:
            self._text(box.left + PAD, y, line, ANSWER_PX, colours.muted, weight=400)
            y += LINE
        for answer in box.answers:
            self._answer(box, answer)
        self.parts.append("</g>")

    def _answer(self, box: _Box, answer: _Answer) -> None:
        colours = self.colours
        left, wide = box.left + PAD, box.wide - 2 * PAD
        if answer.taken:
            place = f'x="{_n(left)}" y="{_n(answer.top)}" width="{_n(wide)}" height="{_n(answer.tall)}" rx="5"'
            self.parts.append(f'<rect {place} style="fill:{colours.walked};stroke:{colours.walked};stroke-width:1"/>')
        down, ink = (4.0, colours.page) if answer.taken else (0.0, colours.muted)
        for index, line in enumerate(answer.lines):
            self._text(left + 8, answer.top + down + LINE * (index + 1) - 5, line, ANSWER_PX, ink, weight=600 if answer.taken else 400)

    def _rect(self, box: _Box, radius: float, stroke: str, fill: str, width: float) -> None:
        place = f'x="{_n(box.left)}" y="{_n(box.top)}" width="{_n(box.wide)}" height="{_n(box.tall)}" rx="{_n(radius)}"'
        self.parts.append(f'<rect class="box" {place} style="fill:{fill};stroke:{stroke};stroke-width:{width}"/>')

    def _text(self, x: float, y: float, text: str, size: float, colour: str, *, weight: int) -> None:
        style = f"font-family:{self.colours.font};font-size:{_n(size)}px;font-weight:{weight};fill:{colour}"
        self.parts.append(f'<text x="{_n(x)}" y="{_n(y)}" style="{style}">{escape(text)}</text>')


def _n(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
