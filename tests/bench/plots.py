# SPDX-License-Identifier: Apache-2.0
"""plots.py - the SVG pictures of tests/bench/bench, written by hand: no library is needed"""

from html import escape

FONT = "font-family=\"'DejaVu Sans', 'Helvetica Neue', Arial, sans-serif\""
INK, MUTED, GRID, PAPER = "#1f2933", "#5f6c7b", "#dfe5ec", "#ffffff"
BARE, MAYFLY = "#6b7786", "#0b6e8f"
# One hue per phase, dark and light in turns, told apart without colour vision as well.
PHASE_COLOURS = {
    "parse": "#3d405b",
    "engine": "#e07a5f",
    "kernel": "#0b6e8f",
    "init": "#f2cc8f",
    "exec": "#81b29a",
    "command": "#6d597a",
    "teardown": "#c9ada7",
}
DARK = {"parse", "kernel", "command"}


class Canvas:
    """Shapes and text on a light background, in pixels."""

    def __init__(self, width, height, title, subtitle):
        self.width, self.height, self.parts = width, height, []
        self.text(24, 34, title, size=18, weight="bold")
        self.text(24, 56, subtitle, size=12, fill=MUTED)

    def text(self, x, y, text, size=12, fill=INK, anchor="start", weight="normal"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" fill="{fill}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
        )

    def rect(self, x, y, width, height, fill, stroke="none", opacity=1.0):
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{fill}" stroke="{stroke}" fill-opacity="{opacity}"/>'
        )

    def line(self, x1, y1, x2, y2, stroke=GRID, width=1.0, dash=""):
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{stroke}" stroke-width="{width}"{extra}/>'
        )

    def dot(self, x, y, fill):
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" fill-opacity="0.55" '
            f'stroke="{fill}"/>'
        )

    def save(self, path):
        body = "\n".join(self.parts)
        with open(path, "w", encoding="utf-8") as f:
            f.write(
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
                f'height="{self.height}" viewBox="0 0 {self.width} {self.height}" role="img">\n'
                f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>\n'
                f"{body}\n</svg>\n"
            )


class Scale:
    """Milliseconds to pixels, with round ticks."""

    def __init__(self, low, high, left, right):
        step = next(
            s * 10**e for e in range(6) for s in (1, 2, 5) if (high - low) / (s * 10**e) <= 8
        )
        self.low, self.step = step * (low // step), step
        self.high = step * -(-high // step)
        self.left, self.right = left, right

    def __call__(self, value):
        return self.left + (value - self.low) / (self.high - self.low) * (self.right - self.left)

    def axis(self, canvas, top, bottom):
        tick = self.low
        while tick <= self.high:
            canvas.line(self(tick), top, self(tick), bottom)
            canvas.text(self(tick), bottom + 18, f"{tick:.0f}", fill=MUTED, anchor="middle")
            tick += self.step
        canvas.line(self.left, bottom, self.right, bottom, stroke=MUTED)
        middle = (self.left + self.right) / 2
        canvas.text(middle, bottom + 38, "milliseconds", fill=MUTED, anchor="middle")


def timeline(path, phases, mayfly_ms, bare_ms, subtitle):
    """Where the time of `mayfly run -- true` goes, above the whole of bare QEMU."""
    total = sum(phases.values())  # of medians: near the median of the whole, not equal
    canvas = Canvas(860, 366, "Where the time goes: mayfly run -- true", subtitle)
    scale = Scale(0, max(total, mayfly_ms, bare_ms), 130, 820)
    scale.axis(canvas, 76, 212)
    canvas.text(118, 110, "mayfly run", anchor="end", weight="bold")
    canvas.text(118, 126, f"{mayfly_ms:.0f} ms", anchor="end", fill=MUTED)
    canvas.text(118, 174, "bare QEMU", anchor="end", weight="bold")
    canvas.text(118, 190, f"{bare_ms:.0f} ms", anchor="end", fill=MUTED)
    at = 0.0
    for name, ms in phases.items():
        x, width = scale(at), scale(at + ms) - scale(at)
        canvas.rect(x, 90, width, 44, PHASE_COLOURS[name], stroke=PAPER)
        if width > 7.5 * len(name) + 6:
            ink = PAPER if name in DARK else INK
            canvas.text(x + width / 2, 116, name, fill=ink, anchor="middle")
        at += ms
    canvas.rect(scale(0), 154, scale(bare_ms) - scale(0), 44, BARE)
    canvas.text(
        (scale(0) + scale(bare_ms)) / 2, 180, "kernel, then reset", fill=PAPER, anchor="middle"
    )
    for i, (name, ms) in enumerate(phases.items()):
        x, y = 130 + (i % 4) * 175, 284 + (i // 4) * 44
        canvas.rect(x, y - 12, 14, 14, PHASE_COLOURS[name])
        canvas.text(x + 22, y, name, weight="bold")
        canvas.text(x + 22, y + 17, f"{ms:.1f} ms, {ms / total * 100:.0f} %", fill=MUTED)
    canvas.save(path)


def box(canvas, scale, y, stats, samples, colour):
    """Quartiles as a box, the whole range as a line, each sample as a dot below."""
    canvas.line(scale(stats["min"]), y, scale(stats["max"]), y, stroke=colour, width=1.5)
    for end in ("min", "max"):
        canvas.line(scale(stats[end]), y - 7, scale(stats[end]), y + 7, stroke=colour, width=1.5)
    left, right = scale(stats["q1"]), scale(stats["q3"])
    canvas.rect(left, y - 14, max(right - left, 1), 28, "#ffffff")
    canvas.rect(left, y - 14, max(right - left, 1), 28, colour, stroke=colour, opacity=0.25)
    middle = scale(stats["median"])
    canvas.line(middle, y - 18, middle, y + 14, stroke=colour, width=3)
    canvas.text(
        middle, y - 24, f"median {stats['median']:.0f}", fill=colour, anchor="middle", weight="bold"
    )
    for i, value in enumerate(samples):
        canvas.dot(scale(value), y + 28 + (i % 3) * 7, colour)


def distribution(path, rows, aim_ms, subtitle):
    """rows: (label, stats, samples, colour); aim_ms: what mayfly's median should stay under."""
    canvas = Canvas(860, 330, "From start to end: every run", subtitle)
    everything = [v for row in rows for v in row[2]] + [aim_ms]
    spare = (max(everything) - min(everything)) * 0.06 + 1
    scale = Scale(min(everything) - spare, max(everything) + spare, 130, 820)
    scale.axis(canvas, 84, 270)
    for i, (label, stats, samples, colour) in enumerate(rows):
        y = 130 + i * 90
        canvas.text(118, y + 5, label, anchor="end", weight="bold")
        box(canvas, scale, y, stats, samples, colour)
    x = scale(aim_ms)
    canvas.line(x, 84, x, 270, stroke="#b23a48", width=1.5, dash="5 4")
    near_end = x > 700
    canvas.text(
        x - 5 if near_end else x + 5, 96, f"aim {aim_ms:.0f}", fill="#b23a48",
        anchor="end" if near_end else "start",
    )
    canvas.save(path)


def bars(path, rows, title, subtitle):
    """rows: (label, milliseconds), as bars from zero."""
    canvas = Canvas(860, 150 + 40 * len(rows), title, subtitle)
    scale = Scale(0, max(ms for _, ms in rows), 330, 780)
    bottom = 84 + 40 * len(rows)
    scale.axis(canvas, 76, bottom)
    for i, (label, ms) in enumerate(rows):
        y = 84 + 40 * i
        canvas.text(318, y + 20, label, anchor="end")
        canvas.rect(scale(0), y + 3, max(scale(ms) - scale(0), 1), 26,
                    MAYFLY if label.startswith("mayfly") else BARE)
        canvas.text(scale(ms) + 6, y + 20, f"{ms:.1f}", fill=MUTED)
    canvas.save(path)
