"""The decision tree as a component that can be clicked and walked by keyboard; the same path stands beside it as text."""

from __future__ import annotations

import streamlit as st

from dashboard import tree_svg
from selector.results import Leaf, PathStep

_HTML = """<div class="scroll" tabindex="-1">
  <div class="tree desk"></div>
  <div class="tree phone"></div>
</div>
"""
_CSS = """
:host { --tree-muted: color-mix(in srgb, var(--st-text-color) 78%, var(--st-background-color));
        --tree-border: color-mix(in srgb, var(--st-text-color) 45%, var(--st-background-color));
        --tree-walked-box: color-mix(in srgb, var(--st-link-color) 12%, var(--st-background-color)); }
.scroll { overflow-x: auto; padding: 3px; }
.tree { max-width: 900px; }
.tree.desk { min-width: 640px; }
.tree.phone { display: none; }
@media (max-width: 640px) { .tree.desk { display: none; } .tree.phone { display: block; } }
.tree svg { width: 100%; height: auto; display: block; }
.tree [data-node] { cursor: pointer; }
.tree [data-node]:hover .box { stroke-width: 2.5px !important; }
.tree [data-node]:focus { outline: none; }
.tree [data-node]:focus-visible .box { stroke: var(--st-text-color) !important; stroke-width: 3px !important; }
"""
_JS = """
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const pressed = (event) => {
    const node = event.target.closest("[data-node]");
    if (node) setTriggerValue("node", node.dataset.node);
  };
  for (const tree of parentElement.querySelectorAll(".tree")) {
    const svg = tree.classList.contains("phone") ? data.phone : data.svg;
    if (tree.dataset.svg !== svg) {
      tree.innerHTML = svg;
      tree.dataset.svg = svg;
    }
    tree.onclick = pressed;
    tree.onkeydown = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      pressed(event);
    };
  }
}
"""


_TREE = st.components.v2.component("decision_tree", html=_HTML, css=_CSS, js=_JS)


def clickable_tree(tree: tree_svg.DecisionTree, path: tuple[PathStep, ...], leaf: Leaf, *, key: str) -> str | None:
    """The tree with the walked path; the id of the question or advice that was just pressed, else None."""
    colours = tree_svg.PAGE_COLOURS
    svg = tree_svg.tree_svg(tree, path, leaf, colours=colours, interactive=True)
    phone = tree_svg.tree_svg(tree, path, leaf, colours=colours, interactive=True, space=tree_svg.PHONE)
    pressed = _TREE(key=key, data={"svg": svg, "phone": phone}, on_node_change=lambda: None)
    node: str | None = pressed.node
    return node
