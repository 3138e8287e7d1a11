"""Charts as SVG (图): bars, lines and pies in plain shapes, the same for the page and for the PDF. All of it is pure.

No script, no style sheet, no reference to anything outside. Series differ by colour and by pattern of line or mark, so that a
print in grey can be read, too.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape

from services.tiering.rendering.document import Chart, Kind, Number
from services.tiering.rendering.figures import NO_DATA, UNITS, clean, in_unit, known, shortened, shown, width

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c00", "#555555")
"""Colours that people who do not tell red from green keep apart (Okabe and Ito)."""
DASHES = ("", "6 3", "2 2", "8 3 2 3")
WIDE, HIGH = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 92, 16, 30, 64
MOST_LABELS = 400
MOST_SLICES = 8
FONT = "Noto Sans CJK SC, PingFang SC, Microsoft YaHei, sans-serif"
Point = tuple[float, float]


def draw(chart: Chart, number: int = 1) -> str:
    """Draw a chart; `number` keeps the ids of several charts on one page apart."""
    named = f'<title id="c{number}t">{_text(chart.title)}</title><desc id="c{number}d">{_text(_described(chart))}</desc>'
    body = "".join(_pie(chart) if chart.kind == "pie" else _axes_chart(chart))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-labelledby="c{number}t c{number}d" '
        f'font-family="{FONT}" font-size="12" fill="#222">{named}'
        f'<rect width="{WIDE}" height="{HIGH}" fill="#fff"/>{body}</svg>'
    )


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers that span both ends: 1, 2 or 5 times a power of ten apart; 0 is one of them."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high == low:
        high = 1.0
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]


def _described(chart: Chart) -> str:
    kinds = {"bar": "柱形图", "line": "折线图", "pie": "饼图"}
    return f"{kinds[chart.kind]}: {', '.join(chart.series) or NO_DATA}; 数据见旁边的表"


def _values(values: Sequence[Number | None], unit: Kind) -> list[float | None]:
    return [None if (one := known(value)) is None else in_unit(one, unit) for value in values[:MOST_LABELS]]


def _axes_chart(chart: Chart) -> Iterator[str]:
    series = {name: _values(values, chart.unit) for name, values in chart.series.items()}
    flat = [value for values in series.values() for value in values if value is not None]
    if not flat:
        yield _nothing()
        return
    scale = ticks(min(flat), max(flat))
    labels = chart.labels[:MOST_LABELS]
    yield from _grid(scale, chart.unit)
    yield from _label_row(labels)
    draw_series = _bars if chart.kind == "bar" else _lines
    yield from draw_series(series, scale, len(labels))
    yield from _legend(list(series))


def _y(value: float, scale: Sequence[float]) -> float:
    return TOP + (HIGH - TOP - BOTTOM) * (1 - (value - scale[0]) / (scale[-1] - scale[0]))


def _slot(labels: int) -> float:
    return (WIDE - LEFT - RIGHT) / max(labels, 1)


def _grid(scale: Sequence[float], unit: Kind) -> Iterator[str]:
    for value in scale:
        y = _y(value, scale)
        stroke = "#444" if value == 0 else "#ddd"
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDE - RIGHT}" y2="{y:.1f}" stroke="{stroke}"/>'
        yield _label(LEFT - 6, y + 4, _tick_text(value), "end")
    if UNITS[unit]:
        yield _label(LEFT - 6, TOP - 12, UNITS[unit], "end")


def _tick_text(value: float) -> str:
    if abs(value) >= 100_000_000:
        return f"{value / 100_000_000:,.10g} 亿"
    return f"{value / 10_000:,.10g} 万" if abs(value) >= 100_000 else f"{value:,.10g}"


def _label_row(labels: Sequence[str]) -> Iterator[str]:
    slot = _slot(len(labels))
    longest = max((width(clean(label)) for label in labels), default=1)
    every = max(1, math.ceil(min(longest, 14) * 6.5 / slot))
    for place in range(0, len(labels), every):
        x = LEFT + slot * (place + 0.5)
        yield _label(x, HIGH - BOTTOM + 18, shortened(clean(labels[place]), 14 if longest == len(labels[place]) else 8), "middle")


def _bars(series: dict[str, list[float | None]], scale: Sequence[float], labels: int) -> Iterator[str]:
    slot = _slot(labels)
    bar = slot * 0.8 / max(len(series), 1)
    for index, values in enumerate(series.values()):
        colour = COLOURS[index % len(COLOURS)]
        for place, value in enumerate(values):
            if value is not None:
                x = LEFT + slot * (place + 0.1) + bar * index
                top, bottom = sorted((_y(value, scale), _y(0.0, scale)))
                yield (
                    f'<rect x="{x:.1f}" y="{top:.1f}" width="{max(bar, 0.5):.1f}" height="{max(bottom - top, 0.5):.1f}" '
                    f'fill="{colour}"/>'
                )


def _lines(series: dict[str, list[float | None]], scale: Sequence[float], labels: int) -> Iterator[str]:
    slot = _slot(labels)
    for index, values in enumerate(series.values()):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        points = [
            (LEFT + slot * (place + 0.5), _y(value, scale)) if value is not None else None for place, value in enumerate(values)
        ]
        for run in _runs(points):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            dashed = f' stroke-dasharray="{dash}"' if dash else ""
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'
        if labels <= 60:
            yield from (f'<circle cx="{p[0]:.1f}" cy="{p[1]:.1f}" r="3" fill="{colour}"/>' for p in points if p is not None)


def _runs(points: Sequence[Point | None]) -> Iterator[list[Point]]:
    """Split a line where a value is missing: a gap is not a fall to 0."""
    run: list[Point] = []
    for point in (*points, None):
        if point is not None:
            run.append(point)
        elif run:
            yield run
            run = []


def _pie(chart: Chart) -> Iterator[str]:
    values = next((_values(values, chart.unit) for values in chart.series.values()), [])
    parts = [(clean(label), value) for label, value in zip(chart.labels, values, strict=False) if value is not None and value > 0]
    if not parts:
        yield _nothing()
        return
    parts.sort(key=lambda part: -part[1])
    if len(parts) > MOST_SLICES:
        parts = [*parts[: MOST_SLICES - 1], ("其他", sum(value for _, value in parts[MOST_SLICES - 1 :]))]
    total = sum(value for _, value in parts)
    angle = 0.0
    for index, (label, value) in enumerate(parts):
        turn = value / total
        yield _slice(angle, angle + turn, COLOURS[index % len(COLOURS)])
        angle += turn
        y = 40 + index * 30
        yield f'<rect x="330" y="{y - 11}" width="14" height="14" fill="{COLOURS[index % len(COLOURS)]}"/>'
        yield _label(352, y, f"{shortened(label, 28)}  {shown(round(turn * 100, 1), 'percent')}", "start")


def _slice(start: float, end: float, colour: str) -> str:
    x, y, radius = 170.0, HIGH / 2, 125.0
    if end - start > 0.99999:
        return f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}"/>'
    (x1, y1), (x2, y2) = (
        (x + radius * math.sin(2 * math.pi * turn), y - radius * math.cos(2 * math.pi * turn)) for turn in (start, end)
    )
    large = 1 if end - start > 0.5 else 0
    return (
        f'<path d="M{x:.1f} {y:.1f}L{x1:.2f} {y1:.2f}A{radius} {radius} 0 {large} 1 {x2:.2f} {y2:.2f}Z" fill="{colour}" '
        'stroke="#fff"/>'
    )


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = float(LEFT)
    for index, name in enumerate(names[: len(COLOURS)]):
        shorter = shortened(clean(name), 20)
        yield f'<rect x="{x:.0f}" y="{HIGH - 24}" width="12" height="12" fill="{COLOURS[index % len(COLOURS)]}"/>'
        yield _label(x + 18, HIGH - 14, shorter, "start")
        x += 40 + width(shorter) * 7


def _nothing() -> str:
    return _label(WIDE / 2, HIGH / 2, NO_DATA, "middle")


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_text(text)}</text>'


def _text(text: str) -> str:
    return escape(clean(text))
