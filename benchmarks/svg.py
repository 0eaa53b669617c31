"""Two kinds of plots, as SVG texts: bars beside a limit, and a line over time."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STYLE = """
.paper{fill:#fbfcfc;stroke:#d5dcda}text{font:13px system-ui,sans-serif;fill:#1c2421}.title{font-weight:600}
.small{font-size:11.5px;fill:#4c5955}.ours{fill:#0b5d49}.other{fill:#dfe9e5}.limit{stroke:#b42318;stroke-width:2}
.axis{fill:none;stroke:#8b9894}.line{fill:none;stroke:#0b5d49;stroke-width:1.5}
@media (prefers-color-scheme:dark){.paper{fill:#141a18;stroke:#33403c}text{fill:#e8eeec}.small{fill:#b3c0bb}
.ours{fill:#5cc3a3}.other{fill:#24433b}.limit{stroke:#f97066}.line{stroke:#5cc3a3}}
"""
_LEFT, _WIDTH, _BAR, _RIGHT = 250, 420, 24, 70


def _document(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">'
    )
    body = "\n".join(parts)
    ground = f'<rect class="paper" x="1" y="1" width="{width - 2:.0f}" height="{height - 2:.0f}" rx="10"/>'
    return f"{head}\n<style>{_STYLE}</style>\n{ground}\n{body}\n</svg>\n"


def _text(x: float, y: float, content: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(content)}</text>'


def bars(title: str, groups: Sequence[tuple[str, Sequence[tuple[str, float, float | None]]]]) -> str:
    """Return bars in groups. A row is a name, a ratio, and the most that it may be, where there is a limit."""
    parts = [_text(12, 22, title, ' class="title"')]
    y = 34.0
    for heading, rows in groups:
        scale = _WIDTH / max(1.0, *(max(value, limit or 0) for _, value, limit in rows))
        parts.append(_text(12, y + 18, heading, ' class="small"'))
        y += 26
        top = y
        for name, value, limit in rows:
            parts += [
                _text(_LEFT - 8, y + 16, name, ' text-anchor="end"'),
                f'<rect class="other" x="{_LEFT}" y="{y + 3:.1f}" width="{scale:.1f}" height="{_BAR - 6}"/>',
                f'<rect class="ours" x="{_LEFT}" y="{y + 3:.1f}" width="{value * scale:.1f}" height="{_BAR - 6}"/>',
                _text(_LEFT + max(1.0, value, limit or 0) * scale + 8, y + 16, f"{value:.2f}"),
            ]
            if limit is not None:
                x = _LEFT + limit * scale
                parts.append(f'<path class="limit" d="M{x:.1f} {y:.1f}v{_BAR}"/>')
            y += _BAR
        parts.append(f'<path class="axis" d="M{_LEFT} {top:.1f}V{y:.1f}"/>')
        y += 12
    return _document(_LEFT + _WIDTH + _RIGHT, y + 4, title, parts)


def line(title: str, values: Sequence[float], axes: tuple[str, str], marks: Sequence[tuple[float, str]]) -> str:
    """Return a line through ``values``, from 0 up. ``marks`` are positions (indices) on the lower axis, with words."""
    width, height, left, top = 640.0, 220.0, 70.0, 40.0
    highest = max(values) * 1.15 or 1.0
    step = width / max(1, len(values) - 1)
    points = " ".join(
        f"{left + i * step:.1f},{top + height * (1 - value / highest):.1f}" for i, value in enumerate(values)
    )
    parts = [
        _text(12, 22, title, ' class="title"'),
        f'<path class="axis" d="M{left} {top}V{top + height}H{left + width}"/>',
        f'<polyline class="line" points="{points}"/>',
        _text(left, top + height + 36, axes[0], ' class="small"'),
        _text(left + 4, top + 8, axes[1], ' class="small"'),
    ]
    for level in (0.25, 0.5, 0.75, 1.0):
        y = top + height * (1 - level * max(values) / highest)
        parts.append(_text(left - 6, y + 4, f"{level * max(values):,.0f}", ' class="small" text-anchor="end"'))
    parts += [
        _text(left + at * step, top + height + 16, word, ' class="small" text-anchor="middle"') for at, word in marks
    ]
    return _document(left + width + 30, top + height + 46, title, parts)
