"""Charts of one panel or a grid of maps, legible at phone width and colour-blind safe."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import FillStyleType, LineStyleType, MarkerType, RcKeyType

from layerscope.jobs.report.series import Band, mean_band

INK = "#010203"
"""Colour of text and axes; the page replaces it by its own."""
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""The palette of Okabe and Ito (2008) without black and yellow, which vanish on a dark or a light page."""
FRAME = COLOURS[4]
"""Contrasts with both ends of the colour map."""
DASHES: tuple[LineStyleType, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
REFERENCE_DASHES: tuple[LineStyleType, ...] = ((0, (6, 2)), (0, (1, 1.5)), "-")
"""Dashes of reference curves, which are drawn in ink."""


class _Mark(TypedDict):
    marker: MarkerType
    markersize: float
    fillstyle: NotRequired[FillStyleType]


_START: _Mark = {"marker": "o", "markersize": 7, "fillstyle": "none"}
_END: _Mark = {"marker": "*", "markersize": 10}
"""Markers of trajectories."""

LABEL_WIDTH = 62
"""Characters in a line of a legend."""

WIDTH = 4.8
"""Inches: about as wide as a phone, so that nothing has to shrink much."""

STYLE: dict[RcKeyType, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.titlesize": 11,
    "font.size": 9,
    "grid.alpha": 0.12,
    "grid.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def curve_chart(
    title: str,
    x_label: str,
    y_label: str,
    curves_by_label: Mapping[str, Sequence[Band]],
    references: Mapping[str, Band] | None = None,
) -> Figure:
    """One colour per label: one curve with its band, or several thin curves and their mean.

    Unfinished curves are thin and dotted; a cross ends a curve whose training diverged or did not learn. Up
    to three references are lines in ink.
    """
    references = references or {}
    with rc_context(STYLE):
        told_apart = len(curves_by_label) + len(references) > 1
        handles = {label: _handle(index) for index, label in enumerate(curves_by_label)}
        handles |= {label: _reference(index) for index, label in enumerate(references)}
        figure, axes = _panel(title, handles if told_apart else {})
        for index, curves in enumerate(curves_by_label.values()):
            _draw_curves(axes, curves, index)
        for index, curve in enumerate(references.values()):
            line = _reference(index)
            line.set_data(curve.steps, curve.mean)
            axes.add_line(line)
        axes.autoscale_view()
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.set(xlabel=x_label, ylabel=y_label)
    return figure


def dot_chart(title: str, y_label: str, scores_by_label: Mapping[str, Sequence[float]]) -> Figure:
    """One dot per score and a bar at the mean, by value of a factor, in order."""
    with rc_context(STYLE):
        figure, axes = _panel(title)
        for index, scores in enumerate(scores_by_label.values()):
            spread = np.linspace(-0.15, 0.15, len(scores)) if len(scores) > 1 else np.zeros(1)
            axes.plot(index + spread, scores, "o", color=COLOURS[index], alpha=0.8, markersize=5)
            axes.hlines(np.mean(scores), index - 0.3, index + 0.3, color=COLOURS[index], linewidth=2.5)
        labels = [textwrap.shorten(label, 22, placeholder="…") for label in scores_by_label]
        axes.set_xticks(range(len(labels)), [textwrap.fill(label, 12) for label in labels])
        axes.set(ylabel=y_label, xlim=(-0.6, len(labels) - 0.4))
        axes.grid(False, axis="x")
    return figure


def scatter_chart(title: str, x_label: str, y_label: str, points: Sequence[tuple[float, float]]) -> Figure:
    """One dot per score over a numeric factor; logarithmic if the values span a factor of 20 or more."""
    with rc_context(STYLE):
        figure, axes = _panel(title)
        x, y = np.array(points).T
        axes.plot(x, y, "o", color=COLOURS[0], alpha=0.7, markersize=5)
        if x.min() > 0 and x.max() / x.min() >= 20:
            axes.set_xscale("log")
        axes.set(xlabel=x_label, ylabel=y_label)
    return figure


def slope_chart(
    title: str, y_label: str, moments: Sequence[str], values_by_label: Mapping[str, Sequence[float]]
) -> Figure:
    """One line per label (up to six) over the checkpoints, from before to after."""
    with rc_context(STYLE):
        handles = {label: _handle(index) for index, label in enumerate(values_by_label)}
        figure, axes = _panel(title, handles)
        places = range(len(moments))
        for index, values in enumerate(values_by_label.values()):
            axes.plot(places, values, "o", linestyle=DASHES[index], color=COLOURS[index], linewidth=2.2)
        axes.set_xticks(places, [textwrap.fill(moment, 12) for moment in moments])
        axes.set(ylabel=y_label, xlim=(-0.3, len(moments) - 0.7))
        axes.grid(False, axis="x")
    return figure


def plane_charts(
    title: str, points_by_panel: Mapping[str, np.ndarray], names: Sequence[str], told: Sequence[int]
) -> Figure:
    """Panels of points (points, 2), each with its own scale and the origin.

    Up to six points have a colour and a name, the same in all panels; the others are grey.
    """
    handles = [
        (names[point], Line2D([], [], marker=MARKERS[index], linestyle="", color=COLOURS[index]))
        for index, point in enumerate(told)
    ]
    with rc_context(STYLE):
        figure, panels = _planes(title, list(points_by_panel), handles, columns=3, height=1.35)
        for axes, points in zip(panels, points_by_panel.values(), strict=True):
            _draw_points(axes, points, told)
    return figure


def path_charts(title: str, paths_by_panel: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """Panels of up to six trajectories (checkpoints, trajectories, 2), each panel with its own scale: a
    hollow circle at the start, a dot at each checkpoint and a star at the end."""
    handles = [(name, _handle(index)) for index, name in enumerate(names)]
    handles += [
        (name, Line2D([], [], linestyle="", color=INK, **mark))
        for name, mark in (("start", _START), ("end", _END))
    ]
    with rc_context(STYLE):
        figure, panels = _planes(title, list(paths_by_panel), handles, columns=2, height=1.9)
        for axes, paths_TC2 in zip(panels, paths_by_panel.values(), strict=True):
            for index, path_T2 in enumerate(np.swapaxes(paths_TC2, 0, 1)):
                colour = COLOURS[index]
                axes.plot(*path_T2.T, ".", linestyle=DASHES[index], color=colour, linewidth=1.5)
                axes.plot(*path_T2[:1].T, color=colour, **_START)
                axes.plot(*path_T2[-1:].T, color=colour, **_END)
            _square_scale(axes)
    return figure


def heat_maps(
    title: str,
    x_label: str,
    y_label: str,
    maps: Mapping[str, np.ndarray],
    *,
    measure: str = "CKA",
    blocks: Mapping[str, Sequence[tuple[int, int]]] | None = None,
) -> Figure:
    """Maps of layers by layers on one scale from 0 to 1; hatched grey if undefined (NaN) or out of range.

    All share the axes of the largest, so that layers align.

    Args:
        measure: Label of the colour bar.
        blocks: First and last layer of the blocks to frame, by map label.
    """
    columns = min(3, len(maps))
    rows = math.ceil(len(maps) / columns)
    with rc_context({**STYLE, "axes.grid": False}):
        figure, panels, scale = _map_panels(title, rows, columns)
        for axes, (label, values) in zip(panels, maps.items(), strict=False):
            image = _draw_map(axes, label, values, width=23 if columns > 1 else 60)
            _frame(axes, (blocks or {}).get(label, ()))
        heights, widths = zip(*(values.shape for values in maps.values()), strict=True)
        panels[0].set(xlim=(-0.5, max(widths) - 0.5), ylim=(-0.5, max(heights) - 0.5))  # Shared by all.
        for axes in panels[len(maps) :]:
            axes.set_axis_off()
        figure.colorbar(image, cax=scale, orientation="horizontal", label=measure)
        figure.supylabel(y_label, x=0.01, fontsize=9)
        figure.supxlabel(x_label, y=0.68 / figure.get_figheight(), va="bottom", fontsize=9)
    return figure


def _panel(title: str, handles: Mapping[str, Line2D] | None = None) -> tuple[Figure, Axes]:
    """One axes between title and legend; margins are fixed, since a layout engine takes four times as
    long."""
    title, labels = textwrap.fill(title, 52, break_on_hyphens=False), list(handles or ())
    longest = max(map(len, labels), default=0)
    columns = 1 if longest > 22 else 2 if longest > 12 else 3
    rows = math.ceil(len(labels) / columns) + sum(len(label) > LABEL_WIDTH for label in labels)
    top, legend = 0.18 + 0.17 * (1 + title.count("\n")), 0.17 * rows
    height = top + 2.6 + 0.55 + legend
    figure = Figure(figsize=(WIDTH, height))
    figure.suptitle(title, y=1 - 0.08 / height, va="top")
    width = WIDTH - 0.9
    axes = figure.add_axes((0.75 / WIDTH, (0.55 + legend) / height, width / WIDTH, 2.6 / height))
    axes.yaxis.set_label_coords(-0.55 / width, 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.ticklabel_format(scilimits=(-3, 4))
    if handles:
        wrapped = [textwrap.fill(label, LABEL_WIDTH) for label in labels]
        lines = list(handles.values())
        figure.legend(lines, wrapped, loc="lower center", ncols=columns, handlelength=3, labelspacing=0.2)
    return figure, axes


def _handle(index: int) -> Line2D:
    return Line2D([], [], linestyle=DASHES[index], color=COLOURS[index], linewidth=2.2)


def _reference(index: int) -> Line2D:
    return Line2D([], [], linestyle=REFERENCE_DASHES[index], color=INK, linewidth=1.3, alpha=0.75)


def _draw_curves(axes: Axes, curves: Sequence[Band], index: int) -> None:
    colour = COLOURS[index]
    main = curves[0] if len(curves) == 1 and curves[0].is_finished else mean_band(curves)
    for curve in curves:
        if curve is not main:
            style = "-" if curve.is_finished else ":"
            axes.plot(curve.steps, curve.mean, style, color=colour, alpha=0.45, linewidth=0.8)
        finite = np.flatnonzero(np.isfinite(curve.mean))
        if curve.trouble and len(finite):
            axes.plot(curve.steps[finite[-1]], curve.mean[finite[-1]], "x", color=colour, markersize=7)
    if main is not None:
        axes.plot(main.steps, main.mean, linestyle=DASHES[index], color=colour, linewidth=2.2)
    if main is curves[0]:
        axes.fill_between(main.steps, main.low, main.high, color=colour, alpha=0.18, linewidth=0)


def _planes(
    title: str, labels: Sequence[str], handles: Sequence[tuple[str, Line2D]], *, columns: int, height: float
) -> tuple[Figure, list[Axes]]:
    """A panel of `height` inches per label, between the title and a legend of two columns."""
    columns = min(columns, len(labels))
    rows = math.ceil(len(labels) / columns)
    wrapped = [textwrap.fill(name, LABEL_WIDTH // 2) for name, _ in handles]
    title = textwrap.fill(title, 52, break_on_hyphens=False)
    named = math.ceil(sum(1 + name.count("\n") for name in wrapped) / 2)
    top, bottom = 0.45 + 0.17 * (1 + title.count("\n")), 0.4 + 0.17 * named
    whole = top + height * rows + 0.45 * (rows - 1) + bottom
    figure = Figure(figsize=(WIDTH, whole))
    figure.suptitle(title, y=1 - 0.08 / whole, va="top")
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.4 / WIDTH,
        right=1 - 0.1 / WIDTH,
        bottom=bottom / whole,
        top=1 - top / whole,
        wspace=0.35,
        hspace=0.45 / height,
    )
    panels = list(grid.subplots(squeeze=False).flat)
    for axes, label in zip(panels, labels, strict=False):
        axes.set_title(label, fontsize=8)
    for axes in panels[len(labels) :]:
        axes.set_axis_off()
    lines = [line for _, line in handles]
    figure.legend(lines, wrapped, loc="lower center", ncols=2, handlelength=3, labelspacing=0.2)
    return figure, panels[: len(labels)]


def _draw_points(axes: Axes, points: np.ndarray, told: Sequence[int]) -> None:
    axes.axhline(0, color=INK, linewidth=0.7, alpha=0.5)
    axes.axvline(0, color=INK, linewidth=0.7, alpha=0.5)
    others = np.setdiff1d(np.arange(len(points)), told)
    axes.plot(*points[others].T, "o", color="#808080", alpha=0.6, markersize=3)
    for index, point in enumerate(told):
        axes.plot(*points[point], MARKERS[index], color=COLOURS[index], markersize=5)
    _square_scale(axes)


def _square_scale(axes: Axes) -> None:
    """Equal scales on both axes."""
    axes.set_aspect("equal", adjustable="datalim")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=3))
    axes.tick_params(labelsize=7)


def _map_panels(title: str, rows: int, columns: int) -> tuple[Figure, list[Axes], Axes]:
    """Square panels between a title and the axes of a colour bar; margins are fixed as in `_panel`."""
    title = textwrap.fill(title, 52, break_on_hyphens=False)
    left, gap, between = 0.6, 0.14, 0.5
    side = min((WIDTH - left - 0.1 - gap * (columns - 1)) / columns, 3.2)
    top, bottom = 0.25 + 0.17 * (1 + title.count("\n")) + 0.3, 1.1
    height = top + rows * side + (rows - 1) * between + bottom
    figure = Figure(figsize=(WIDTH, height))
    figure.suptitle(title, y=1 - 0.08 / height, va="top")
    grid = figure.add_gridspec(
        rows,
        columns,
        left=left / WIDTH,
        right=(left + columns * side + (columns - 1) * gap) / WIDTH,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=gap / side,
        hspace=between / side,
    )
    panels = list(grid.subplots(squeeze=False, sharex=True, sharey=True).flat)
    return figure, panels, figure.add_axes((0.25, 0.45 / height, 0.5, 0.12 / height))


def _draw_map(axes: Axes, label: str, values: np.ndarray, *, width: int) -> AxesImage:
    axes.patch.set(facecolor="#b0b0b0", edgecolor="#6a6a6a", hatch="////")
    image = axes.imshow(
        np.ma.masked_invalid(values), cmap="cividis", vmin=0, vmax=1, origin="lower", interpolation="nearest"
    )
    axes.set_title(textwrap.fill(label, width, break_on_hyphens=False), fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    return image


def _frame(axes: Axes, blocks: Sequence[tuple[int, int]]) -> None:
    for first, last in blocks:
        side = last - first + 1
        axes.add_patch(
            Rectangle((first - 0.5, first - 0.5), side, side, fill=False, edgecolor=FRAME, linewidth=1.8)
        )
