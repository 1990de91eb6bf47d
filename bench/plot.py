"""The picture of the benchmark: an SVG of the first table's costs, drawn with nothing but text."""

from math import log2
from xml.sax.saxutils import escape

from bench.peers import CONFAB, PEERS, REFERENCE
from bench.report import Results

WIDTH, LEFT, RIGHT, TOP, STEP = 720, 90, 30, 64, 38
TITLE = "CPU for the same work, Node socket.io = 1; less is better"
TICKS = 0.1, 0.2, 0.5, 1, 2, 5, 10, 20
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-size: 15px; font-weight: 600 }
  .small { font-size: 11px; fill: #666 }
  line { stroke: #ddd }
  .one { stroke: #666 }
  .span { stroke-width: 3; stroke-opacity: .35 }
  .confab { fill: #0969da; stroke: #0969da } .node { fill: #57606a; stroke: #57606a }
  .node-tuned { fill: #bc8c00; stroke: #bc8c00 } .plain { fill: #cf222e; stroke: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd } .small { fill: #aaa } line { stroke: #444 } .one { stroke: #aaa }
    .confab { fill: #58a6ff; stroke: #58a6ff } .node { fill: #9ea7b3; stroke: #9ea7b3 }
    .node-tuned { fill: #e3b341; stroke: #e3b341 } .plain { fill: #ff7b72; stroke: #ff7b72 }
  }"""


def plot(results: Results) -> str:
    """A row for each scenario, a dot for each peer at its median, a bar from its least to its most; Node = 1."""
    scenarios = [
        each.name for each in results.scenarios() if results.median(REFERENCE, "cost", each.name)
    ]
    scale = Scale(
        [part for name in scenarios for peer in PEERS for part in _parts(results, peer, name)]
    )
    height = TOP + STEP * len(scenarios) + 34
    drawn = [*_legend(), *_ticks(scale, height - 30)]
    for number, name in enumerate(scenarios):
        drawn += _row(results, scale, name, TOP + STEP * number + STEP / 2)
    lines = "\n".join(f"  {each}" for each in drawn)
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    said = f'role="img" aria-label="{TITLE}. The numbers are in the tables."'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {said}>\n  <style>{STYLE}\n  </style>\n{lines}\n</svg>\n'


class Scale:
    """From a ratio to a place on the page: every doubling is as wide as the next."""

    def __init__(self, ratios: list[float]) -> None:
        self.least = max(
            [tick for tick in TICKS if tick <= min(ratios, default=1)], default=TICKS[0]
        )
        self.most = min(
            [tick for tick in TICKS if tick >= max(ratios, default=1)], default=TICKS[-1]
        )

    def ticks(self) -> list[float]:
        """What to write below."""
        return [tick for tick in TICKS if self.least <= tick <= self.most]

    def place(self, ratio: float) -> float:
        """Where it is; what is off the scale stands at its end."""
        inside = min(max(ratio, self.least), self.most)
        part = (log2(inside) - log2(self.least)) / ((log2(self.most) - log2(self.least)) or 1)
        return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)


def _parts(results: Results, peer: str, scenario: str) -> list[float]:
    nodes = results.median(REFERENCE, "cost", scenario)
    return sorted(run.cost / nodes for run in results.of(peer, scenario)) if nodes else []


def _legend() -> list[str]:
    drawn = [f'<text class="title" x="12" y="22">{TITLE}</text>']
    for number, peer in enumerate(PEERS.values()):
        x = 18 + number * 160
        drawn.append(f'<circle class="{peer.name}" cx="{x}" cy="42" r="5"/>')
        drawn.append(f'<text x="{x + 12}" y="46">{escape(peer.title)}</text>')
    return drawn


def _ticks(scale: Scale, bottom: float) -> list[str]:
    drawn = []
    for tick in scale.ticks():
        x = scale.place(tick)
        drawn.append(
            f'<line class="{"one" if tick == 1 else "tick"}" x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}"/>'
        )
        drawn.append(
            f'<text class="small" text-anchor="middle" x="{x}" y="{bottom + 16}">{tick:g}</text>'
        )
    return drawn


def _row(results: Results, scale: Scale, scenario: str, y: float) -> list[str]:
    drawn = [f'<text x="12" y="{y + 4}">{scenario}</text>']
    for peer in sorted(PEERS, key=lambda name: name == CONFAB):  # ours on top
        middle = results.ratio(peer, "cost", scenario)
        if middle is None:
            continue
        parts = _parts(results, peer, scenario)
        least, most = scale.place(parts[0]), scale.place(parts[-1])
        drawn.append(f'<line class="{peer} span" x1="{least}" y1="{y}" x2="{most}" y2="{y}"/>')
        drawn.append(
            f'<circle class="{peer}" cx="{scale.place(middle)}" cy="{y}" r="{7 if peer == CONFAB else 5}"/>'
        )
    return drawn
