"""Plots of studies: panels side by side, lines through means, and a dot for each seed."""

import math
import statistics

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 290, 230, 46, 14, 30, 34


def ticks(low, high):
    """Three to six round numbers between two."""
    step = 10 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (1, 0.5, 0.2, 0.1) if (high - low) / (step * part) >= 3)
    first = math.ceil(low / step - 1e-9)
    return [round(at * step, 10) for at in range(first, math.floor(high / step + 1e-9) + 1)]


def draw(path, panels, colours, caption, columns=3, lines=None):
    """Writes an SVG file. A panel is a title and, by series, the values of all seeds at each place of the horizontal axis; places are
    evenly spaced, in their order. `lines` are values that run through every panel, by name."""
    rows = -(-len(panels) // columns)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * columns}" height="{HEIGHT * rows + 30}" font-family="sans-serif" font-size="11">']
    out.append('<rect width="100%" height="100%" fill="white"/>')
    for at, (title, series) in enumerate(panels):
        out += panel(at % columns * WIDTH, at // columns * HEIGHT, title, series, colours, lines or {})
    x, y = LEFT, HEIGHT * rows + 18
    for name, colour in colours.items():
        out.append(f'<text x="{x}" y="{y}" fill="{colour}" font-size="13">{name}</text>')
        x += 8 * len(name) + 18
    out.append(f'<text x="{x + 10}" y="{y}">{caption}</text></svg>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")


def panel(left, top, title, series, colours, lines):
    places = sorted({place for points in series.values() for place in points})
    values = [v for points in series.values() for cell in points.values() for v in cell] + list(lines.values())
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.05
    low, high = low - room, high + room
    x = lambda place: left + LEFT + (places.index(place) + 0.5) * (WIDTH - LEFT - RIGHT) / len(places)
    y = lambda value: top + HEIGHT - BOTTOM - (value - low) * (HEIGHT - TOP - BOTTOM) / (high - low)
    ends = (left + LEFT, left + WIDTH - RIGHT)
    out = [f'<text x="{left + WIDTH / 2}" y="{top + 18}" text-anchor="middle" font-size="13">{title}</text>']
    for value in ticks(low, high):
        out.append(f'<line x1="{ends[0]}" x2="{ends[1]}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{ends[0] - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for name, value in lines.items():
        out.append(f'<line x1="{ends[0]}" x2="{ends[1]}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#555" stroke-dasharray="4 3"/>')
        out.append(f'<text x="{ends[1]}" y="{y(value) - 3:.1f}" text-anchor="end" fill="#555">{name}</text>')
    for place in places:
        out.append(f'<text x="{x(place):.1f}" y="{top + HEIGHT - 16}" text-anchor="middle">{place:g}</text>')
    for name, points in series.items():
        means = " ".join(f"{x(place):.1f},{y(statistics.fmean(cell)):.1f}" for place, cell in points.items())
        out.append(f'<polyline points="{means}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        for place, cell in points.items():
            out += [f'<circle cx="{x(place):.1f}" cy="{y(v):.1f}" r="2" fill="{colours[name]}"/>' for v in cell]
    return out
