"""The loops over pixels, compiled on first use; imported on first use as well.

Loops over a row are straight and without branches, so that the compiler takes several pixels at once.
"""

import math
from typing import Any

import numpy as np

from countenance.compiled import compiled

__all__ = ["greys", "planes", "warp"]


@compiled
def places(row: Any, region: Any, matrix: Any, corners: Any, shares: Any, inside: Any) -> None:
    """Where the pixels of one row of the chip come from.

    Written: ``corners`` (4, side), for each pixel the numbers of the four around its place in the region, row by row;
    ``shares`` (2, side), how far it lies from the first of them to the right and down; ``inside`` (side,), all ones
    where the place is inside of the photo and else 0.
    """
    left, top, right, bottom, width, height = region
    a, b, c, d, e, f = matrix
    zero, one, half, low, all_ones = np.int32(0), np.int32(1), 0.5, np.uint32(0), np.uint32(0xFFFFFFFF)
    x0, y0, wide = np.int32(left), np.int32(top), np.int32(right - left)
    last, lowest = np.int32(right - left - 1), np.int32(bottom - top - 1)
    along, down = b * (row + half), e * (row + half)
    for j in range(inside.size):
        x = a * (np.int32(j) + half) + along + c
        y = d * (np.int32(j) + half) + down + f
        there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside[j] = all_ones if there else low
        x, y = (x if there else half) - half, (y if there else half) - half
        column, line = math.floor(x), math.floor(y)
        shares[0, j], shares[1, j] = x - column, y - line
        p, q = np.int32(np.int32(column) - x0), np.int32(np.int32(line) - y0)
        p0, p1 = min(max(p, zero), last), min(max(np.int32(p + one), zero), last)
        q0 = np.int32(min(max(q, zero), lowest) * wide)
        q1 = np.int32(min(max(np.int32(q + one), zero), lowest) * wide)
        corners[0, j], corners[1, j] = np.uint32(q0 + p0), np.uint32(q0 + p1)
        corners[2, j], corners[3, j] = np.uint32(q1 + p0), np.uint32(q1 + p1)


@compiled
def level(pixel: Any, shift: Any) -> Any:
    """One channel of a pixel, as the number that is interpolated."""
    return np.float64(np.int32(pixel >> shift & np.uint32(255)))


@compiled
def blend(corners: Any, shares: Any, inside: Any) -> None:
    """Interpolate between the four pixels of ``corners`` (4, side), each R, G, B in its lowest bytes; the result
    replaces the first of them. Fractions of a grey level are dropped.
    """
    for j in range(inside.size):
        pixel = np.uint32(0)
        for channel in range(3):
            shift = np.uint32(8 * channel)
            v, w = level(corners[0, j], shift), level(corners[1, j], shift)
            v += (w - v) * shares[0, j]
            u, w = level(corners[2, j], shift), level(corners[3, j], shift)
            u += (w - u) * shares[0, j]
            pixel |= np.uint32(np.uint32(np.int32(v + (u - v) * shares[1, j])) << shift)
        corners[0, j] = pixel & inside[j]


@compiled
def warp(pixels: Any, region: Any, matrix: Any, chip: Any) -> None:
    """Interpolate a chip bilinearly: byte for byte as Pillow's ``transform`` does, in a quarter of the time.

    Args:
        pixels: of the region of the photo that is needed, row by row; uint32, R, G, B in its lowest bytes.
        region: its (left, top, right, bottom), and the photo's (width, height). Whatever the places are, nothing is
            read outside of it.
        matrix: six numbers, from a place of the chip to one of the photo.
        chip: (side, side, 3) uint8 RGB, written.
    """
    side, byte = chip.shape[1], np.uint32(255)
    corners, inside, shares = np.empty((4, side), np.uint32), np.empty(side, np.uint32), np.empty((2, side))
    for i in range(chip.shape[0]):
        places(i, region, matrix, corners, shares, inside)
        for k in range(4):
            for j in range(side):
                corners[k, j] = pixels[np.uint64(corners[k, j])]
        blend(corners, shares, inside)
        for j in range(side):
            pixel = corners[0, j]
            chip[i, j, 0] = pixel & byte
            chip[i, j, 1] = pixel >> np.uint32(8) & byte
            chip[i, j, 2] = pixel >> np.uint32(16) & byte


@compiled
def planes(pixels: Any, size: Any, turned: Any, out: Any) -> None:
    """A photo as a network's input: a plane for each channel, zeros to the right and below.

    Args:
        pixels: row by row; uint32, R, G, B in its lowest bytes.
        size: the photo's (width, height).
        turned: whether B is to be the first plane, not R.
        out: (3, at least height, at least width) float32, written.
    """
    width, height = size
    byte = np.uint32(255)
    for channel in range(3):
        shift, plane = np.uint32(8 * (2 - channel if turned else channel)), out[channel]
        for i in range(height):
            line, row = pixels[i * width : i * width + width], plane[i]
            for j in range(width):
                row[j] = np.float32(np.int32(line[j] >> shift & byte))
            row[width:] = 0
        plane[height:] = 0


@compiled
def greys(chip: Any, counts: Any) -> Any:
    """Luma of a chip (height, width, 3) uint8, as Pillow rounds it: how many pixels have each of 256 levels is added
    to ``counts``; the sum of the absolute Laplacian over all pixels but those of the rim is returned.
    """
    height, width, _ = chip.shape
    luma = np.empty((height, width), np.int32)
    for i in range(height):
        line = chip[i]
        for j in range(width):
            parts = np.int32(line[j, 0]) * np.int32(19595) + np.int32(line[j, 1]) * np.int32(38470)
            luma[i, j] = np.int32(parts + np.int32(line[j, 2]) * np.int32(7471) + np.int32(0x8000)) >> np.int32(16)
        for j in range(width):
            counts[np.uint64(luma[i, j])] += 1
    total = 0
    for i in range(1, height - 1):
        above, here, below = luma[i - 1], luma[i], luma[i + 1]
        row: Any = np.int32(0)
        for j in range(1, width - 1):
            row += np.int32(abs(np.int32(above[j] + below[j] + here[j - 1] + here[j + 1] - np.int32(4) * here[j])))
        total += row
    return total
