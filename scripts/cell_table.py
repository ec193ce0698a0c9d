# Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
"""Prints the cells of each module from what Yosys writes with `stat -json` for ECP5.

usage: cell_table.py [--slots] STAT.json TOP

With --slots, only the look-up table slots that TOP takes of a chip.
"""

import json
import re
import sys
from collections import Counter

COLUMNS = [
    ("LUT4", lambda cells: cells["LUT4"]),
    ("carry", lambda cells: cells["CCU2C"]),
    ("FF", lambda cells: cells["TRELLIS_FF"]),
    ("block RAM", lambda cells: sum(n for c, n in cells.items() if c in ("DP16KD", "PDPW16KD"))),
    ("LUT RAM", lambda cells: cells["TRELLIS_DPR16X4"]),
]


def slots(cells: Counter) -> int:
    """Look-up table slots of the chip: a carry cell takes two, a 16x4 LUT RAM four (two of them for
    its write port)."""
    return cells["LUT4"] + 2 * cells["CCU2C"] + 4 * cells["TRELLIS_DPR16X4"]


class Design:
    """The modules of a netlist: the primitive cells of each, and the modules below it."""

    def __init__(self, stat: dict):
        modules = {name.lstrip("\\"): m["num_cells_by_type"] for name, m in stat["modules"].items()}
        self.own: dict[str, Counter] = {}
        self.below: dict[str, Counter] = {}
        for name, cells in modules.items():
            cells = {c.lstrip("\\"): n for c, n in cells.items()}
            self.own[name] = Counter({c: n for c, n in cells.items() if c not in modules})
            self.below[name] = Counter({c: n for c, n in cells.items() if c in modules})

    def total(self, name: str) -> Counter:
        """The cells of a module and of everything below it."""
        cells = Counter(self.own[name])
        for child, count in self.below[name].items():
            for cell, n in self.total(child).items():
                cells[cell] += n * count
        return cells

    def rows(self, name: str, depth: int = 0, count: int = 1):
        """Depth, module, instances, largest first at each depth."""
        yield depth, name, count
        children = sorted(self.below[name].items(), key=lambda c: -slots(self.total(c[0])))
        # Instances of one module whose names differ by an index only share a row.
        groups: dict[tuple, list] = {}
        for child, n in children:
            key = (plain(child), tuple(sorted(self.total(child).items())))
            groups.setdefault(key, [child, 0])[1] += n
        for child, n in groups.values():
            yield from self.rows(child, depth + 1, n)


def plain(name: str) -> str:
    """The name in the source of a module that the front end has named after its instance."""
    return re.split(r"\$", name)[0]


def label(name: str) -> str:
    """Module, and the instance where the front end tells it."""
    instance = re.sub(r"^.*\.", "", name) if "$" in name else ""
    module = plain(name)
    return module if instance in ("", f"u_{module}") else f"{module} {instance}"


def main() -> int:
    *options, stat, top = sys.argv[1:]
    with open(stat, encoding="utf-8") as file:
        design = Design(json.load(file))
    if top not in design.own:
        top = next(name for name in design.own if plain(name) == top)
    if "--slots" in options:
        print(slots(design.total(top)))
        return 0
    width = 44
    heads = [head for head, _ in COLUMNS]
    print(f"{'':{width}}  {'with submodules':^58} | alone")
    print(f"{'module':{width}}  " + " ".join(f"{h:>9}" for h in heads) + f" {'slots':>8} | "
          + " ".join(f"{h:>9}" for h in heads[:3]))
    for depth, name, count in design.rows(top):
        total = design.total(name)
        text = "  " * depth + label(name) + (f"  x{count}, each" if count > 1 else "")
        cells = " ".join(f"{of(total):9}" for _, of in COLUMNS)
        own = " ".join(f"{of(design.own[name]):9}" for _, of in COLUMNS[:3])
        print(f"{text:{width}}  {cells} {slots(total):8} | {own}")
    others = {c: n for c, n in design.total(top).items()
              if c not in ("LUT4", "CCU2C", "TRELLIS_FF", "DP16KD", "PDPW16KD", "TRELLIS_DPR16X4",
                           "PFUMX", "L6MUX21")}
    if others:
        print("other cells: " + ", ".join(f"{c} {n}" for c, n in sorted(others.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
