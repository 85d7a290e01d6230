"""A plotly figure as SVG for paper: the same traces, ticks and labels as on the page, the same bytes every time.

It draws what `charts` uses and nothing more: an unknown trace type, axis or shape is an error, never a missing line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import plotly.graph_objects as go

from dashboard.text_width import text_width

FONT = "Source Sans Pro"
INK, MUTED, GRID, PAPER = "#1F2937", "#4B5563", "#E5E7EB", "#FFFFFF"
TEXT_PX = 12.0
DASHES = {"solid": "", "dash": "8 5", "dot": "2 4", "dashdot": "9 4 2 4"}


class UnknownChartPart(ValueError):
    """The figure holds something this writer cannot draw."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A linear axis: data from `low` to `high` onto pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)


def chart_svg(figure: go.Figure, *, width: float = 720.0, height: float | None = None) -> str:
    """The figure as an SVG document, `width` by `height` pixels (the figure's own height when None)."""
    document = figure.to_plotly_json()
    traces, layout = document["data"], document["layout"]
    layout.pop("template", None)
    tall = float(height or layout.get("height") or 360.0)
    margin = {"l": 60.0, "r": 20.0, "t": 16.0, "b": 44.0} | {key: float(value) for key, value in layout.get("margin", {}).items()}
    x = _scale(layout.get("xaxis", {}), "xaxis", margin["l"], width - margin["r"])
    y = _scale(layout.get("yaxis", {}), "yaxis", tall - margin["b"], margin["t"])
    parts = [*_grid(layout, x, y), *_shapes(layout, x, y), *_traces(traces, layout, x, y), *_annotations(layout, x, y)]
    if layout.get("showlegend"):
        parts += _legend(traces, x, tall - margin["b"] + 56.0, width - margin["r"])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(tall)}" viewBox="0 0 {_n(width)} {_n(tall)}">'
    return "\n".join([head, f'<rect width="{_n(width)}" height="{_n(tall)}" fill="{PAPER}"/>', *parts, "</svg>"])


# ---- traces ----


def _traces(traces: list[dict[str, Any]], layout: dict[str, Any], x: Scale, y: Scale) -> list[str]:
    parts: list[str] = []
    stacked: dict[float, float] = {}
    bars = [trace for trace in traces if trace.get("type") == "bar"]
    if bars and len(bars) > 1 and layout.get("barmode") not in ("stack", "relative"):
        raise UnknownChartPart(f"barmode {layout.get('barmode')!r} cannot be drawn: stack the bars or teach chart_svg to group them")
    for trace in traces:
        kind = trace.get("type")
        if kind == "scatter":
            parts += _scatter(trace, x, y)
        elif kind == "bar" and trace.get("orientation") == "h":
            parts += _horizontal_bars(trace, layout, x, y)
        elif kind == "bar":
            parts += _vertical_bars(trace, layout, x, y, stacked)
        else:
            raise UnknownChartPart(f"trace type {kind!r} cannot be drawn: scatter and bar can; teach chart_svg the new one")
    return parts


def _scatter(trace: dict[str, Any], x: Scale, y: Scale) -> list[str]:
    modes = set(str(trace.get("mode", "lines")).split("+"))
    if not modes <= {"lines", "markers"}:
        raise UnknownChartPart(f"scatter mode {trace.get('mode')!r} cannot be drawn: lines and markers can")
    points = [(x(float(a)), y(float(b))) for a, b in zip(trace["x"], trace["y"], strict=True) if a is not None and b is not None]
    opacity = _n(float(trace.get("opacity", 1.0)))
    parts = []
    if trace.get("fill", "none") != "none":
        return [_area(trace, points)]
    if "lines" in modes:
        line = trace.get("line", {})
        dash = DASHES.get(line.get("dash", "solid"))
        if dash is None:
            raise UnknownChartPart(f"line dash {line.get('dash')!r} cannot be drawn: {', '.join(DASHES)} can")
        where = " ".join(f"{_n(a)},{_n(b)}" for a, b in points)
        stroke = f'stroke="{line.get("color", INK)}" stroke-width="{_n(float(line.get("width", 2)))}" stroke-opacity="{opacity}"'
        parts.append(f'<polyline points="{where}" fill="none" {stroke} stroke-linejoin="round"{_dash(dash)}/>')
    if "markers" in modes:
        marker = trace.get("marker", {})
        radius = _n(float(marker.get("size", 6)) / 2)
        parts += [
            f'<circle cx="{_n(a)}" cy="{_n(b)}" r="{radius}" fill="{marker.get("color", INK)}" fill-opacity="{opacity}"/>'
            for a, b in points
        ]
    return parts


def _area(trace: dict[str, Any], points: list[tuple[float, float]]) -> str:
    """A closed area without an edge, in the colour it has on the page."""
    found = re.fullmatch(r"rgba\((\d+), (\d+), (\d+), ([0-9.]+)\)", str(trace.get("fillcolor")))
    if trace["fill"] != "toself" or float(trace.get("line", {}).get("width", 2)) or found is None:
        raise UnknownChartPart(
            f"fill {trace['fill']!r} in {trace.get('fillcolor')!r} cannot be drawn: 'toself' in rgba without an edge can"
        )
    where = " ".join(f"{_n(a)},{_n(b)}" for a, b in points)
    colour = "#" + "".join(f"{int(part):02X}" for part in found.groups()[:3])
    return f'<polygon points="{where}" fill="{colour}" fill-opacity="{_n(float(found[4]))}"/>'


def _vertical_bars(trace: dict[str, Any], layout: dict[str, Any], x: Scale, y: Scale, stacked: dict[float, float]) -> list[str]:
    wide = abs(x(1) - x(0)) * (1 - float(layout.get("bargap", 0.2)))
    parts = []
    for at, amount in zip(trace["x"], trace["y"], strict=True):
        foot = stacked.get(at, 0.0)
        top = foot + float(amount or 0.0)
        stacked[at] = top
        if top != foot:
            parts.append(_bar(x(float(at)) - wide / 2, y(top), wide, y(foot) - y(top), _colour_at(trace, 0), 1.0))
    return parts


def _horizontal_bars(trace: dict[str, Any], layout: dict[str, Any], x: Scale, y: Scale) -> list[str]:
    thick = abs(y(1) - y(0)) * (1 - float(layout.get("bargap", 0.2)))
    parts = []
    if trace.get("text"):
        raise UnknownChartPart("text on horizontal bars cannot be drawn: set it as annotations")
    bases = trace.get("base")
    feet = [0.0] * len(trace["x"]) if bases is None else [float(base) for base in bases]
    for index, (at, amount, foot) in enumerate(zip(trace["y"], trace["x"], feet, strict=True)):
        left, right = sorted((x(foot), x(foot + float(amount))))
        parts.append(_bar(left, y(float(at)) - thick / 2, right - left, thick, _colour_at(trace, index), _opacity_at(trace, index)))
    return parts


def _bar(left: float, top: float, wide: float, tall: float, colour: str, opacity: float) -> str:
    box = f'x="{_n(left)}" y="{_n(top)}" width="{_n(max(wide, 0.0))}" height="{_n(max(tall, 0.0))}"'
    return f'<rect {box} fill="{colour}" fill-opacity="{_n(opacity)}" stroke="{PAPER}" stroke-width="0.6"/>'


# ---- frame ----


def _grid(layout: dict[str, Any], x: Scale, y: Scale) -> list[str]:
    parts = []
    for name, axis, other in (("xaxis", x, y), ("yaxis", y, x)):
        spec = layout.get(name, {})
        vertical = name == "yaxis"
        for value, label in zip(spec.get("tickvals", ()), spec.get("ticktext", ()), strict=True):
            at = axis(float(value))
            if spec.get("showgrid", True) and (vertical or not _has_vertical_bars(layout)):
                ends = (other.start, at, other.end, at) if vertical else (at, other.start, at, other.end)
                parts.append(_line(*ends, GRID, 0.8))
            if vertical:
                parts += _lines_of_text(other.start - 7, at, str(label), anchor="end")
            else:
                parts.append(_text(at, other.start + 15, str(label), anchor="middle", colour=MUTED))
        title = spec.get("title", {}).get("text", "")
        if title and vertical:
            raise UnknownChartPart("a title on the y axis cannot be drawn: say it in the chart's title")
        if title:
            parts.append(_text((x.start + x.end) / 2, y.start + 33, title, anchor="middle", colour=MUTED))
    parts.append(_line(x.start, y.start, x.end, y.start, MUTED, 1.0))
    return parts


def _has_vertical_bars(layout: dict[str, Any]) -> bool:
    return layout.get("barmode") in ("stack", "relative")


def _shapes(layout: dict[str, Any], x: Scale, y: Scale) -> list[str]:
    parts = []
    for shape in layout.get("shapes", ()):
        if shape.get("type") != "line" or shape.get("xref", "x") != "x" or shape.get("yref", "y") != "y":
            raise UnknownChartPart(f"shape {shape.get('type')!r} cannot be drawn: lines in data coordinates can")
        line = shape.get("line", {})
        ends = (x(float(shape["x0"])), y(float(shape["y0"])), x(float(shape["x1"])), y(float(shape["y1"])))
        parts.append(_line(*ends, line.get("color", INK), float(line.get("width", 1)), DASHES.get(line.get("dash", "solid"), "")))
    return parts


def _annotations(layout: dict[str, Any], x: Scale, y: Scale) -> list[str]:
    parts = []
    for note in layout.get("annotations", ()):
        if note.get("showarrow", True) or note.get("xref", "x") != "x" or note.get("yref", "y") != "y":
            raise UnknownChartPart(f"annotation {note.get('text')!r} cannot be drawn: without arrow and in data coordinates it can")
        anchor = {"left": "start", "right": "end", "center": "middle"}[note.get("xanchor", "center")]
        at_x = x(float(note["x"])) + float(note.get("xshift", 0))
        at_y = y(float(note["y"])) - float(note.get("yshift", 0))
        baseline = {"middle": "middle", "bottom": "bottom", "top": "top"}[note.get("yanchor", "middle")]
        parts.append(
            _text(at_x, at_y, str(note["text"]), anchor=anchor, baseline=baseline, colour=note.get("font", {}).get("color", INK), halo=True)
        )
    return parts


def _legend(traces: list[dict[str, Any]], x: Scale, top: float, right: float) -> list[str]:
    parts = []
    left, line = x.start, top
    for trace in traces:
        name = str(trace.get("name", ""))
        wide = 16 + text_width(name, TEXT_PX) + 16
        if left + wide > right and left > x.start:
            left, line = x.start, line + 17
        drawn = trace.get("line", {}) if "lines" in str(trace.get("mode", "lines")) else trace.get("marker", {})
        colour = _colour_at(trace, 0) if trace.get("type") == "bar" else drawn.get("color", INK)
        parts.append(f'<rect x="{_n(left)}" y="{_n(line - 9)}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(left + 15, line, name))
        left += wide
    return parts


# ---- below: how ----


def _scale(axis: dict[str, Any], name: str, start: float, end: float) -> Scale:
    if "range" not in axis or "tickvals" not in axis:
        raise UnknownChartPart(f"{name} has no range or ticks: set range, tickvals and ticktext in the figure, so page and paper agree")
    if axis.get("type", "linear") != "linear":
        raise UnknownChartPart(f"{name} is of type {axis['type']!r}: only linear axes can be drawn")
    low, high = (float(value) for value in axis["range"])
    return Scale(low=low, high=high, start=start, end=end)


def _colour_at(trace: dict[str, Any], index: int) -> str:
    colour = trace.get("marker", {}).get("color", INK)
    return str(colour[index]) if isinstance(colour, list | tuple) else str(colour)


def _opacity_at(trace: dict[str, Any], index: int) -> float:
    opacity = trace.get("marker", {}).get("opacity", 1.0)
    return float(opacity[index]) if isinstance(opacity, list | tuple) else float(opacity)


def _lines_of_text(at_x: float, at_y: float, label: str, *, anchor: str) -> list[str]:
    lines = label.split("<br>")
    first = at_y - (len(lines) - 1) * 7
    return [_text(at_x, first + 14 * index, line, anchor=anchor, baseline="middle", colour=MUTED) for index, line in enumerate(lines)]


def _text(
    at_x: float, at_y: float, text: str, *, anchor: str = "start", baseline: str = "alphabetic", colour: str = INK, halo: bool = False
) -> str:
    down = {"alphabetic": 0.0, "middle": 4.0, "bottom": -2.0, "top": 10.0}[baseline]
    place = f'x="{_n(at_x)}" y="{_n(at_y + down)}" text-anchor="{anchor}"'
    look = f'font-family="{FONT}" font-size="{_n(TEXT_PX)}"'
    said = escape(text)
    under = f'<text {place} {look} fill="{PAPER}" stroke="{PAPER}" stroke-width="3">{said}</text>' if halo else ""
    return f'{under}<text {place} {look} fill="{colour}">{said}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, width: float, dash: str = "") -> str:
    return f'<line x1="{_n(x0)}" y1="{_n(y0)}" x2="{_n(x1)}" y2="{_n(y1)}" stroke="{colour}" stroke-width="{_n(width)}"{_dash(dash)}/>'


def _dash(dash: str) -> str:
    return f' stroke-dasharray="{dash}"' if dash else ""


def _n(value: float) -> str:
    """A coordinate with at most two digits, the same text on every machine."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
