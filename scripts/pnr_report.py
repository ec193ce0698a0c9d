# Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
"""Prints what matters of a report of nextpnr-ecp5: how full the chip is, the clock, the slowest path.

usage: pnr_report.py REPORT.json
       pnr_report.py --utilisation LOG
"""

import json
import re
import sys

# Bels worth a line, in words.
BELS = {
    "TRELLIS_COMB": "LUT4 slots",
    "TRELLIS_FF": "flip-flops",
    "TRELLIS_RAMW": "LUT RAM write ports",
    "DP16KD": "block RAM",
    "MULT18X18D": "multipliers",
}


def utilisation(rows) -> None:
    for bel, used, available in rows:
        if bel in BELS and used:
            print(f"  {BELS[bel]:20} {used:6} of {available:6}  {100 * used / available:5.1f} %")


def utilisation_of_log(path: str) -> None:
    with open(path, encoding="utf-8") as log:
        found = re.findall(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", log.read(), re.M)
    utilisation((bel, int(used), int(available)) for bel, used, available in found)


def place(cell: str) -> str:
    """The instance that a cell or net belongs to, without the harness and what synthesis appended."""
    cell = re.sub(r"^u_mmu\.", "", cell)
    return re.sub(r"_(?:CCU2C|LUT4|L6MUX21|PFUMX|TRELLIS_FF|DP16KD|MULT18X18D|DPR16X4).*$", "", cell)


def path(steps: list) -> None:
    """One line for each net on the way, with the cells that drive it; a carry chain is one step."""
    first, last = steps[0], steps[-1]
    print(f"  from {place(first['from']['cell'])}.{first['from']['port']}")
    print(f"  to   {place(last['to']['cell'])}.{last['to']['port']}")
    print(f"  {'cells':>6} {'net':>6} {'sum':>6}")
    total = cells = all_cells = all_nets = 0.0
    levels = 0
    for step in steps:
        delay = step["delay"]
        total += delay
        if step["type"] != "routing":
            cells += delay
            all_cells += delay
            levels += step["type"] == "logic" and delay > 0
        elif delay > 0:
            all_nets += delay
            source, sink = step["from"].get("loc"), step["to"].get("loc")
            way = f"  ({source[0]},{source[1]}) to ({sink[0]},{sink[1]})" if source and sink else ""
            print(f"  {cells:6.2f} {delay:6.2f} {total:6.2f}  {place(step['net'])}{way}")
            cells = 0.0
    print(f"  {cells:6.2f} {'':6} {total:6.2f}  {steps[-1]['type']}")
    print(f"  {levels} cells {all_cells:.1f} ns, nets {all_nets:.1f} ns")


def main() -> int:
    if sys.argv[1] == "--utilisation":
        utilisation_of_log(sys.argv[2])
        return 0
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    print("chip:")
    utilisation((bel, u["used"], u["available"]) for bel, u in report["utilization"].items())
    for clock, fmax in report["fmax"].items():
        print(f"clock {clock}: {fmax['achieved']:.1f} MHz (aim {fmax['constraint']:.1f} MHz)")
    for critical in report["critical_paths"]:
        if "async" not in critical["from"] and "async" not in critical["to"]:
            print("slowest path:")
            path(critical["path"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
