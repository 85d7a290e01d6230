"""The drawn tree: every question and advice in it, the walked path filled, nothing overlapping, markup as text."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from dashboard.text_width import text_width, wrapped
from dashboard.tree_svg import DESK, PAGE_COLOURS, PAPER_COLOURS, PHONE, Space, _layout, path_text, reading_order, tree_svg
from selector.tree import load_tree, tree_ids, walk
from tests.dashboard import sample

SVG = "{http://www.w3.org/2000/svg}"


def spoken(svg: str) -> str:
    return " ".join(text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text"))


@pytest.mark.parametrize("space", [DESK, PHONE])
@pytest.mark.parametrize("tree_id", tree_ids())
def test_no_box_and_no_line_of_text_runs_past_the_edge(tree_id: str, space: Space) -> None:
    tree = load_tree(tree_id)
    path, leaf = walk(tree, sample.workload())
    root = ElementTree.fromstring(tree_svg(tree, path, leaf, space=space))
    for box in root.iter(f"{SVG}rect"):
        assert float(box.get("x")) + float(box.get("width")) <= space.wide
    for line in root.iter(f"{SVG}text"):
        room = space.node_right if float(line.get("x")) < space.leaf_left else space.wide
        size = float(line.get("style").partition("font-size:")[2].partition("px")[0])
        assert float(line.get("x")) + text_width(line.text, size) <= room, line.text


@pytest.mark.parametrize("tree_id", tree_ids())
def test_every_question_and_every_advice_is_drawn(tree_id: str) -> None:
    tree = load_tree(tree_id)
    path, leaf = walk(tree, sample.workload())
    drawn = spoken(tree_svg(tree, path, leaf))
    for node in tree.node:
        assert node.question in drawn
    for step in path:
        assert f"You: {step.value}"[:30] in drawn
    for advice in tree.leaf:
        assert advice.title.split()[0] in drawn


@pytest.mark.parametrize("tree_id", tree_ids())
def test_no_box_overlaps_another_and_all_lie_inside(tree_id: str) -> None:
    tree = load_tree(tree_id)
    path, leaf = walk(tree, sample.workload())
    layout = _layout(tree, {step.node: step for step in path}, leaf, DESK)
    for index, box in enumerate(layout.boxes):
        assert box.top >= 0
        assert box.top + box.tall <= layout.height
        for other in layout.boxes[index + 1 :]:
            apart = box.left + box.wide <= other.left or other.left + other.wide <= box.left
            assert apart or box.top + box.tall <= other.top or other.top + other.tall <= box.top


@pytest.mark.parametrize("tree_id", tree_ids())
def test_arrows_between_questions_point_down(tree_id: str) -> None:
    tree = load_tree(tree_id)
    order = [node.id for node in reading_order(tree)]
    for node in tree.node:
        for branch in node.branch:
            if branch.to in order:
                assert order.index(node.id) < order.index(branch.to)


def test_exactly_the_walked_answers_are_filled() -> None:
    tree = load_tree()
    path, leaf = walk(tree, sample.workload())
    svg = tree_svg(tree, path, leaf, colours=PAPER_COLOURS)
    assert svg.count(f'style="fill:{PAPER_COLOURS.walked};stroke:{PAPER_COLOURS.walked};stroke-width:1"') == len(path)


def test_on_the_page_each_box_is_a_named_button_and_on_paper_none_is() -> None:
    tree = load_tree()
    path, leaf = walk(tree, sample.workload())
    page = ElementTree.fromstring(tree_svg(tree, path, leaf, colours=PAGE_COLOURS, interactive=True))
    buttons = [group for group in page.iter(f"{SVG}g") if group.get("role") == "button"]
    assert {button.get("data-node") for button in buttons} == {*(node.id for node in tree.node), *(end.id for end in tree.leaf)}
    assert all(button.get("aria-label") and button.get("tabindex") == "0" for button in buttons)
    paper = tree_svg(tree, path, leaf)
    assert "tabindex" not in paper
    assert "var(--" not in paper


def test_a_users_value_is_text_whatever_it_holds() -> None:
    tree = load_tree()
    path, leaf = walk(tree, sample.workload())
    hostile = (replace(path[0], value='<script>alert("1")</script> & "x"'), *path[1:])
    svg = tree_svg(tree, hostile, leaf, interactive=True)
    ElementTree.fromstring(svg)
    assert "<script" not in svg


def test_the_path_as_text_names_values_answers_and_the_end() -> None:
    path, leaf = walk(load_tree(), sample.workload())
    said = path_text(path, leaf)
    assert all(step.value in said and step.answer in said for step in path)
    assert said.endswith(f"Leads to: {leaf.title}.")


def test_wrapped_lines_keep_every_word_and_their_width() -> None:
    text = "Do labelled examples come from the same domain as the traffic?"
    lines = wrapped(text, 14, 180)
    assert " ".join(lines) == text
    assert all(text_width(line, 14) <= 180 for line in lines)


def test_a_word_longer_than_the_line_is_cut_not_lost() -> None:
    assert "".join(wrapped("x" * 200, 14, 100)) == "x" * 200
