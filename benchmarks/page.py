"""Pure: the bare page of every report. One file, no script, nothing fetched; light and dark."""

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d1c1a; --soft: #6b6862; --hair: #e6e2db; --grid: #eeebe5;
  --one: #1f6feb; --one-soft: #1f6feb22; --two: #c2571a; --good: #1a7f4b; --warn: #a86500;
  --bad: #c62f3b;
  --warn-soft: #fff4dc; --bad-soft: #ffe9ea; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #131416; --card: #1b1d20; --ink: #eceae6; --soft: #9c9a95; --hair: #2d3034; --grid: #26292d;
  --one: #6ea8ff; --one-soft: #6ea8ff2b; --two: #f0995c; --good: #4fc088; --warn: #e0ac4a;
  --bad: #ff7d85;
  --warn-soft: #2e2719; --bad-soft: #331d20; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 ui-sans-serif, system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 44px 24px 72px; }
header { margin-bottom: 28px; }
.eyebrow { color: var(--soft); font-size: 12px; letter-spacing: .09em; text-transform: uppercase;
  margin: 0 0 6px; }
h1 { font-size: 29px; line-height: 1.2; letter-spacing: -.015em; font-weight: 640; margin: 0 0 6px; }
h2 { font-size: 16px; font-weight: 640; margin: 0 0 2px; }
p { margin: 0; } .sub, .legend, figcaption { color: var(--soft); font-size: 13.5px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 12px;
  margin-bottom: 12px; }
.card, .tile { background: var(--card); border: 1px solid var(--hair); border-radius: 10px; }
.tile { padding: 14px 16px 12px; } .tile .label { color: var(--soft); font-size: 12.5px; }
.tile .value { font-size: 27px; font-weight: 620; letter-spacing: -.02em; line-height: 1.25; }
.tile .value small { font-size: 14px; font-weight: 500; color: var(--soft); letter-spacing: 0;
  margin-left: 3px; }
.tile .note { color: var(--soft); font-size: 12.5px; }
.tile.bad .value { color: var(--bad); } .tile.good .value { color: var(--good); }
.grid { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 12px; }
.card { padding: 18px 20px; margin: 0 0 12px; overflow-x: auto; } .grid .card { margin: 0; }
.grid + .card, .grid + .notice { margin-top: 12px; }
@media (max-width: 760px) { .grid { grid-template-columns: 1fr; } main { padding: 28px 14px 48px; } }
figure { margin: 10px 0 0; } svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font: 11.5px ui-sans-serif, system-ui, "Segoe UI", Arial, sans-serif; fill: var(--soft); }
.grid-line, svg .grid { stroke: var(--grid); display: inline; } svg .axis { stroke: var(--hair); }
svg .rule { stroke: var(--soft); stroke-dasharray: 3 4; } svg .note { font-size: 11px; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .line.one { stroke: var(--one); }
.line.two { stroke: var(--two); } .bar.one, .dot.one { fill: var(--one); }
.bar.two, .dot.two { fill: var(--two); }
.dot { opacity: .62; } .dot:hover, .bar:hover { opacity: 1; stroke: var(--ink); }
.area.one { fill: var(--one-soft); stroke: var(--one); stroke-width: 1.2; }
.cross { fill: none; stroke-width: 1.8; } .cross.warn { stroke: var(--warn); }
.cross.bad { stroke: var(--bad); }
.band { fill: var(--soft); opacity: .08; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 2px; }
.key::before { content: ""; display: inline-block; width: 14px; height: 3px; border-radius: 2px;
  margin-right: 7px;
  vertical-align: middle; background: currentColor; }
.key.one::before { background: var(--one); } .key.two::before { background: var(--two); }
.key.warn::before { background: var(--warn); } .key.bad::before { background: var(--bad); }
table { border-collapse: collapse; width: 100%; margin-top: 10px; font-size: 14px; }
th, td { padding: 6px 10px; text-align: right; border-top: 1px solid var(--hair); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: 12.5px; }
tbody th { font-weight: 500; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:last-child, thead th:last-child { padding-right: 0; }
td.better { color: var(--good); } td.worse { color: var(--bad); }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.facts th { color: var(--soft); width: 190px; }
.notice { border-radius: 10px; padding: 12px 16px; margin: 0 0 12px; font-size: 14px;
  background: var(--warn-soft);
  border: 1px solid color-mix(in srgb, var(--warn) 35%, transparent); }
.notice.bad { background: var(--bad-soft);
  border-color: color-mix(in srgb, var(--bad) 35%, transparent); }
.notice ul { margin: 4px 0 0; padding-left: 20px; }
footer { color: var(--soft); font-size: 13px; margin-top: 26px; }
@media print { body { background: #fff; } .card, .tile { break-inside: avoid; } }
"""


def page(title: str, eyebrow: str, subtitle: str, body: Iterable[str]) -> str:
    """The whole document; `body` holds ready HTML, the rest is escaped."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<header><p class="eyebrow">{escape(eyebrow)}</p><h1>{escape(title)}</h1>'
        f'<p class="sub">{escape(subtitle)}</p></header>\n'
        + "\n".join(body)
        + "\n<footer>How each number is made: METHODOLOGY.md, beside the code.</footer>"
        "\n</main>\n</body>\n</html>\n"
    )


def tile(label: str, value: str, unit: str = "", note: str = "", tone: str = "") -> str:
    """One large number."""
    small = f"<small>{escape(unit)}</small>" if unit else ""
    return (
        f'<div class="tile {escape(tone)}"><div class="label">{escape(label)}</div>'
        f'<div class="value">{escape(value)}{small}</div><div class="note">{escape(note)}</div></div>'
    )


def tiles(each: Iterable[str]) -> str:
    return f'<div class="tiles">{"".join(each)}</div>'


def card(title: str, subtitle: str, body: str) -> str:
    """A titled box; `body` is ready HTML."""
    heading = f'<h2>{escape(title)}</h2><p class="sub">{escape(subtitle)}</p>'
    return f'<section class="card">{heading}{body}</section>'


def figure(plot: str, legend: Sequence[tuple[str, str]] = ()) -> str:
    """A plot under its legend of (style, words)."""
    keys = "".join(f'<span class="key {escape(style)}">{escape(words)}</span>' for style, words in legend)
    return (f'<p class="legend">{keys}</p>' if keys else "") + f"<figure>{plot}</figure>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], tones: Sequence[Sequence[str]] = ()) -> str:
    """Numbers, the first column names them. `tones` are classes of the cells, row by row."""
    top = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    lines = []
    for index, (name, *cells) in enumerate(rows):
        row_tones = tones[index] if tones else [""] * len(cells)
        made = (
            f'<td class="{tone}">{escape(each)}</td>' for each, tone in zip(cells, row_tones, strict=True)
        )
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(made)}</tr>')
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and words."""
    lines = (f'<tr><th scope="row">{escape(name)}</th><td>{escape(said)}</td></tr>' for name, said in rows)
    return f'<table class="facts"><tbody>{"".join(lines)}</tbody></table>'


def notice(title: str, lines: Sequence[str], tone: str = "") -> str:
    """What a reader must know before the numbers; nothing when there are no lines."""
    if not lines:
        return ""
    listed = "".join(f"<li>{escape(each)}</li>" for each in lines)
    return f'<div class="notice {escape(tone)}"><strong>{escape(title)}</strong><ul>{listed}</ul></div>'


def shown(value: float) -> str:
    """Three digits that matter: 0.0123, 1.23, 12.3, 123, 12,345. A count is shown whole."""
    if value == 0:
        return "0"
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.{1 if abs(value) >= 10 else 2}f}"
