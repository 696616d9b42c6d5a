"""The ground a map is drawn on: a frame in degrees without a seam in longitude, and the coasts of the real Earth."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import ArrayLike, NDArray

from toolkit.report import theme

_CELLS_ACROSS = 360
_TICK_STEPS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90)


@dataclass(frozen=True)
class Box:
    """A part of the globe in degrees; west is in [0, 360), east may lie beyond 360 and at most 360 from west."""

    south: float
    north: float
    west: float
    east: float

    @property
    def aspect(self) -> float:
        """How many times as long a degree of latitude is drawn as one of longitude: true to scale in mid-box."""
        return 1 / max(np.cos(np.radians((self.south + self.north) / 2)), 0.3)

    @property
    def width_to_height(self) -> float:
        """The shape of the box as drawn."""
        return (self.east - self.west) / ((self.north - self.south) * self.aspect)

    def shaped(self, narrowest: float, widest: float) -> "Box":
        """Return a box with the same middle, grown so far that its `width_to_height` lies between the two."""
        height, width = self.north - self.south, self.east - self.west
        shape = self.width_to_height
        grow_height = max(shape / widest, 1) * height - height
        width = min(width * max(narrowest / shape, 1), 360.0)
        west = ((self.west + self.east - width) / 2) % 360.0
        south = max(self.south - grow_height / 2, -90.0)
        return Box(south, min(south + height + grow_height, 90.0), west, west + width)

    def unwrapped(self, longitude: ArrayLike) -> NDArray[np.float64]:
        """Return longitudes within 180 degrees of the middle of the box, so that none in it is torn off."""
        middle = (self.west + self.east) / 2
        return np.asarray(middle + (np.subtract(longitude, middle) + 180.0) % 360.0 - 180.0)


def box_around(latitude: ArrayLike, longitude: ArrayLike, margin: float, least: float = 0.0) -> Box:
    """Return the smallest box that holds all points, `margin` degrees wider and at least `least` degrees high and wide.

    Its seam lies in the widest stretch of longitudes without a point.
    """
    lat, lon = np.asarray(latitude, float), np.sort(np.asarray(longitude, float) % 360.0)
    gaps = np.diff(lon, append=lon[0] + 360.0)
    widest = int(np.argmax(gaps))
    west, width = float(lon[(widest + 1) % lon.size]), 360.0 - float(gaps[widest])
    grow = max(margin, (least - width) / 2)
    width = min(width + 2 * grow, 360.0)
    west = (west - grow) % 360.0
    middle, half = float(lat.min() + lat.max()) / 2, max(float(np.ptp(lat)) / 2 + margin, least / 2)
    return Box(max(middle - half, -90.0), min(middle + half, 90.0), west, west + width)


def draw_ground(axes: Axes, box: Box, coastlines: bool) -> None:
    """Draw the frame of a map, with land where `coastlines`; x is longitude as `box.unwrapped` gives it."""
    if coastlines:
        _draw_land(axes, box)
    axes.set_xlim(box.west, box.east)
    axes.set_ylim(box.south, box.north)
    axes.set_aspect(box.aspect)
    axes.spines[["top", "right"]].set_visible(True)
    few = 4 if theme.is_narrow() else 8
    for axis, extent, name, most in (
        (axes.xaxis, box.east - box.west, _east_west, few),
        (axes.yaxis, box.north - box.south, _north_south, 5),
    ):
        step = next((step for step in _TICK_STEPS if extent / step <= most), _TICK_STEPS[-1])
        axis.set_major_locator(MultipleLocator(step))
        axis.set_major_formatter(FuncFormatter(name))


def _east_west(longitude: float, _: int) -> str:
    east = (longitude + 180.0) % 360.0 - 180.0
    return f"{abs(east):g}°{'' if east in (0, -180) else 'E' if east > 0 else 'W'}"


def _north_south(latitude: float, _: int) -> str:
    return f"{abs(latitude):g}°{'' if latitude == 0 else 'N' if latitude > 0 else 'S'}"


def _draw_land(axes: Axes, box: Box) -> None:
    from global_land_mask import globe  # unpacks a mask of the whole Earth, which simulated worlds do not need

    step = (box.east - box.west) / (_CELLS_ACROSS // (2 if theme.is_narrow() else 1))
    latitude = np.clip(np.arange(box.south, box.north + step, step), -90.0, 90.0)
    longitude = np.arange(box.west, box.east + step, step)
    rows, columns = np.meshgrid(latitude, (longitude + 180.0) % 360.0 - 180.0, indexing="ij")
    land = globe.is_land(rows, columns).astype(float)
    axes.contourf(longitude, latitude, land, levels=[0.5, 1.5], colors=[theme.LAND])
    axes.contour(longitude, latitude, land, levels=[0.5], colors=[theme.COAST], linewidths=0.5)
