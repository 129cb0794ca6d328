"""Draws the chart of the README from the JSON that `compare.py` wrote: two SVG files, for light and dark pages."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
FONT = "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
WIDTH, LEFT, RIGHT, BAR, STEP, HEAD = 760, 132, 92, 18, 28, 46


@dataclass(frozen=True)
class Theme:
    text: str
    quiet: str
    ours: str
    theirs: str


THEMES = {
    "light": Theme(text="#1f2328", quiet="#59636e", ours="#0a7d6c", theirs="#c8ced6"),
    "dark": Theme(text="#e6edf3", quiet="#9198a1", ours="#3fbfa8", theirs="#4b535d"),
}


@dataclass(frozen=True)
class Panel:
    title: str
    note: str
    bars: list[tuple[str, float]]
    """Names and seconds."""


def seconds(value: float) -> str:
    if value < 0.1:
        return f"{value * 1e3:.0f} ms"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def spoken(panel: Panel) -> str:
    return ", ".join(f"{name} {seconds(value)}" for name, value in panel.bars)


def panels(results: dict[str, Any]) -> list[Panel]:
    def wall(section: str, name: str) -> float | None:
        sample = results.get(section, {}).get(name)
        return None if sample is None else float(sample["wall_s"])

    def panel(title: str, note: str, *bars: tuple[str, float | None]) -> Panel:
        known = [(name, value) for name, value in bars if value is not None]
        return Panel(title, note, sorted(known, key=lambda bar: bar[1]))

    peers = [(peer, wall("first_10m", peer)) for peer in ("Polars", "DuckDB")]
    pathway = wall("pathway_1m", "Pathway")
    found = [
        panel(
            "1,000 new rows on top of 10 million",
            "Millpond: whole process, changes written, state saved. The others compute everything again.",
            ("Millpond", wall("restart", "Rust, full, 10m, warm")),
            ("from Python", wall("restart", "Python, full, 10m, warm")),
            *peers,
        ),
        panel(
            "First run, 10 million rows",
            "CSV to CSV. Millpond saves its state, synced to disk.",
            ("Millpond", wall("first_10m", "Millpond")),
            ("from Python", wall("first_10m", "Millpond, Python")),
            *peers,
        ),
    ]
    if pathway is not None:
        ours = wall("pathway_1m", "Millpond")
        note = "The same program, with only its import changed."
        found.append(panel("First run, 1 million rows", note, ("Millpond", ours), ("Pathway", pathway)))
    return [panel for panel in found if panel.bars]


def draw(results: dict[str, Any], theme: Theme) -> str:
    parts: list[str] = []

    def text(
        x: float, y: float, words: str, size: int, colour: str, *, anchor: str = "start", bold: bool = False
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
        parts.append(f"<text {place}{weight}>{escape(words)}</text>")

    y = 8.0
    for panel in panels(results):
        text(0, y + 14, panel.title, 15, theme.text, bold=True)
        text(0, y + 32, panel.note, 12, theme.quiet)
        y += HEAD
        longest = max(value for _, value in panel.bars)
        for name, value in panel.bars:
            ours = name in ("Millpond", "from Python")
            width = max((WIDTH - LEFT - RIGHT) * value / longest, 1.5)
            middle = y + BAR / 2 + 4.5
            text(LEFT - 10, middle, name, 13, theme.text, anchor="end", bold=ours)
            shape = f'x="{LEFT}" y="{y:.1f}" width="{width:.1f}" height="{BAR}" rx="{min(3.0, width / 2):.1f}"'
            parts.append(f'<rect {shape} fill="{theme.ours if ours else theme.theirs}"/>')
            text(LEFT + width + 8, middle, seconds(value), 13, theme.text, bold=ours)
            y += STEP
        y += 14
    machine = results["machine"]
    place = f"{machine['cores']} cores of {machine['processor']}, {machine['date']}"
    rounds = f"Medians of {results['rounds']} rounds in turn (Pathway: {results['pathway_rounds']})"
    text(0, y + 8, f"{rounds}, {place}.", 11, theme.quiet)
    height = y + 16
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
        f' height="{height:.0f}" role="img" font-family="{FONT}">'
    )
    label = "; ".join(f"{panel.title}: {spoken(panel)}" for panel in panels(results))
    return "\n".join([opening, f"<title>{escape(label)}</title>", *parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=ROOT / "bench-data" / "results.json")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images", help="folder for the SVG files")
    args = parser.parse_args()
    results = json.loads(args.json.read_text())
    args.output.mkdir(parents=True, exist_ok=True)
    for name, theme in THEMES.items():
        (args.output / f"compare-{name}.svg").write_text(draw(results, theme))


if __name__ == "__main__":
    main()
