"""The chart of the benchmark: an SVG with the CPU costs relative to Node."""

from math import log2
from xml.sax.saxutils import escape

from bench.peers import CONFAB, PEERS, REFERENCE
from bench.report import Results

# Of the picture, in pixels.
WIDTH = 720
LEFT_MARGIN = 90
RIGHT_MARGIN = 30
TOP_MARGIN = 88
BOTTOM_MARGIN = 34
ROW_HEIGHT = 38
LEGEND_STEP = 175
LEGEND_COLUMNS = 4
LEGEND_LINE_HEIGHT = 24

TITLE = "CPU for the same work, Node socket.io = 1; less is better"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-size: 15px; font-weight: 600 }
  .small { font-size: 11px; fill: #666 }
  line { stroke: #ddd }
  .one { stroke: #666 }
  .span { stroke-width: 3; stroke-opacity: .35 }
  .confab { fill: #0969da; stroke: #0969da } .node { fill: #57606a; stroke: #57606a }
  .node-tuned { fill: #bc8c00; stroke: #bc8c00 } .plain { fill: #cf222e; stroke: #cf222e }
  .confab-engine-off { fill: #1b7c83; stroke: #1b7c83 }
  .confab-gevent { fill: #8250df; stroke: #8250df } .channels { fill: #1a7f37; stroke: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd } .small { fill: #aaa } line { stroke: #444 } .one { stroke: #aaa }
    .confab { fill: #58a6ff; stroke: #58a6ff } .node { fill: #9ea7b3; stroke: #9ea7b3 }
    .node-tuned { fill: #e3b341; stroke: #e3b341 } .plain { fill: #ff7b72; stroke: #ff7b72 }
    .confab-engine-off { fill: #76e3ea; stroke: #76e3ea }
    .confab-gevent { fill: #d2a8ff; stroke: #d2a8ff } .channels { fill: #7ee787; stroke: #7ee787 }
  }"""


def plot(results: Results) -> str:
    """Return the chart: a row for each scenario, with a dot (median) and a bar (range) per peer."""
    names = [
        scenario.name
        for scenario in results.scenarios()
        if results.median(REFERENCE, "cost", scenario.name)
    ]
    ratios = [
        ratio for name in names for peer in PEERS for ratio in _sorted_ratios(results, peer, name)
    ]
    scale = Scale(ratios)
    height = TOP_MARGIN + ROW_HEIGHT * len(names) + BOTTOM_MARGIN
    elements = [*_legend(), *_ticks(scale, height - 30)]
    for number, name in enumerate(names):
        y = TOP_MARGIN + ROW_HEIGHT * number + ROW_HEIGHT / 2
        elements += _row(results, scale, name, y)
    body = "\n".join(f"  {element}" for element in elements)
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    label = f'role="img" aria-label="{TITLE}. The numbers are in the tables."'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>\n'
        f"  <style>{STYLE}\n  </style>\n{body}\n</svg>\n"
    )


class Scale:
    """A logarithmic scale from ratios to horizontal positions."""

    def __init__(self, ratios: list[float]) -> None:
        lowest = min(ratios, default=1)
        highest = max(ratios, default=1)
        self.first = max([tick for tick in TICKS if tick <= lowest], default=TICKS[0])
        self.last = min([tick for tick in TICKS if tick >= highest], default=TICKS[-1])

    def ticks(self) -> list[float]:
        """Return the ratios that are labelled."""
        return [tick for tick in TICKS if self.first <= tick <= self.last]

    def x(self, ratio: float) -> float:
        """Return the position of a ratio; one beyond the scale is placed at its end."""
        clamped = min(max(ratio, self.first), self.last)
        length = (log2(self.last) - log2(self.first)) or 1
        part = (log2(clamped) - log2(self.first)) / length
        return round(LEFT_MARGIN + part * (WIDTH - LEFT_MARGIN - RIGHT_MARGIN), 1)


def _sorted_ratios(results: Results, peer: str, scenario: str) -> list[float]:
    """Return the costs of all runs of a peer, divided by the median of Node."""
    reference = results.median(REFERENCE, "cost", scenario)
    if not reference:
        return []
    return sorted(run.cost / reference for run in results.of(peer, scenario))


def _legend() -> list[str]:
    elements = [f'<text class="title" x="12" y="22">{TITLE}</text>']
    for number, peer in enumerate(PEERS.values()):
        line, column = divmod(number, LEGEND_COLUMNS)
        x = 18 + column * LEGEND_STEP
        y = 42 + line * LEGEND_LINE_HEIGHT
        elements.append(f'<circle class="{peer.name}" cx="{x}" cy="{y}" r="5"/>')
        elements.append(f'<text x="{x + 12}" y="{y + 4}">{escape(peer.title)}</text>')
    return elements


def _ticks(scale: Scale, bottom: float) -> list[str]:
    elements = []
    for tick in scale.ticks():
        x = scale.x(tick)
        name = "one" if tick == 1 else "tick"
        elements.append(f'<line class="{name}" x1="{x}" y1="{TOP_MARGIN}" x2="{x}" y2="{bottom}"/>')
        elements.append(
            f'<text class="small" text-anchor="middle" x="{x}" y="{bottom + 16}">{tick:g}</text>'
        )
    return elements


def _row(results: Results, scale: Scale, scenario: str, y: float) -> list[str]:
    elements = [f'<text x="12" y="{y + 4}">{scenario}</text>']
    for peer in sorted(PEERS, key=lambda name: name == CONFAB):  # Confab is drawn last, on top
        ratio = results.ratio(peer, "cost", scenario)
        if ratio is None:
            continue
        ratios = _sorted_ratios(results, peer, scenario)
        lowest = scale.x(ratios[0])
        highest = scale.x(ratios[-1])
        radius = 7 if peer == CONFAB else 5
        elements.append(
            f'<line class="{peer} span" x1="{lowest}" y1="{y}" x2="{highest}" y2="{y}"/>'
        )
        elements.append(f'<circle class="{peer}" cx="{scale.x(ratio)}" cy="{y}" r="{radius}"/>')
    return elements
