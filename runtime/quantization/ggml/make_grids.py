"""Writes grids.generated.ts: the grids of ggml's I-quants, from the `gguf` Python package (MIT), as indices in base64.

    python runtime/quantization/ggml/make_grids.py

Each number of a grid becomes an index into the grid's few levels: 2 bits where there are 3 levels, 3 bits where there are
8, low bits first.
"""

import base64
import os
import re

import numpy as np
from gguf import quants

HERE = os.path.dirname(os.path.abspath(__file__))
GRIDS = {
    "iq2_xxs": quants.IQ2_XXS,
    "iq2_xs": quants.IQ2_XS,
    "iq2_s": quants.IQ2_S,
    "iq3_xxs": quants.IQ3_XXS,
    "iq3_s": quants.IQ3_S,
    "iq1": quants.IQ1_S,
}

HEAD = """/*! Made by make_grids.py; do not edit. The grids are those of ggml, taken from the `gguf` Python package:

MIT License. Copyright (c) 2023-2024 The ggml authors.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software
is furnished to do so, subject to the following conditions: The above copyright notice and this permission notice shall be
included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE. */

/** The levels of a grid, the numbers of an entry, and the index of each number's level (`bits` each, low bits first). */
export const GRIDS = {
"""

with open(os.path.join(HERE, "grids.generated.ts"), "w", encoding="utf-8") as file:
    file.write(HEAD)
    for name, kind in GRIDS.items():
        kind.init_grid()
        grid = kind.grid.reshape(-1).astype(int)
        levels = [int(level) for level in kind.grid_map]
        bits = 2 if len(levels) <= 4 else 3
        index = np.array([levels.index(value) for value in grid], dtype=np.uint8)
        stream = np.unpackbits(index[:, None], axis=1, bitorder="little")[:, :bits].reshape(-1)
        packed = np.packbits(stream, bitorder="little").tobytes()
        text = base64.b64encode(packed).decode()
        lines = re.findall(".{1,110}", text)
        file.write(f"  {name}: {{\n    levels: {levels},\n    width: {kind.grid_shape[1]},\n    bits: {bits},\n    data:\n")
        file.write(" +\n".join(f"      '{line}'" for line in lines) + ",\n  },\n")
    file.write("} as const;\n")
