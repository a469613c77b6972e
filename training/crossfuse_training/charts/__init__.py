"""Pictures of results, drawn with OpenCV alone: every one from numbers of run folders.

canvas.py    lines, rectangles and text on a white sheet
scale.py     values to positions, round tick marks
bars.py      differences from a baseline with error bars
heat_map.py  methods x metrics
lines.py     curves over the pairs of pictures seen
"""

from crossfuse_training.charts.bars import Bar, BarPanel, draw_bars
from crossfuse_training.charts.heat_map import HeatCell, draw_heat_map
from crossfuse_training.charts.lines import Line, LinePanel, draw_lines

__all__ = [
    "Bar",
    "BarPanel",
    "HeatCell",
    "Line",
    "LinePanel",
    "draw_bars",
    "draw_heat_map",
    "draw_lines",
]
