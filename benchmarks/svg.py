"""Pictures by a few lines of our own: readable on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """
  .page { fill: #ffffff; stroke: #d0d7de }
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
         fill: #1f2328 }
  .title { font-size: 18px; font-weight: 600 } .name { font-size: 14px; font-weight: 600 }
  .quiet { fill: #59636e } .right { text-anchor: end } .middle { text-anchor: middle }
  .ours { fill: #0b7a75 } .floor { fill: #8c959f } .other { fill: #b6c7d9 }
  .line { fill: none; stroke-width: 2.5 } .grid { stroke: #d0d7de }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #30363d } text { fill: #e6edf3 } .quiet { fill: #9198a1 }
    .ours { fill: #2bb5ad } .floor { fill: #6e7681 } .other { fill: #3d5168 }
    .grid { stroke: #30363d }
  }
"""


def text(x: float, y: float, said: str, kind: str = "") -> str:
    """Some words."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(said)}</text>'


def bar(x: float, y: float, width: float, height: float, kind: str) -> str:
    """A bar; never quite nothing."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{max(width, 1.5):.1f}" height="{height:g}" rx="2"'
        f' class="{kind}"/>'
    )


def picture(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """A whole picture on a page of its own."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
            f' width="{width:g}" height="{height:g}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="8"'
            ' class="page"/>',
            *parts,
            "</svg>",
            "",
        ]
    )
