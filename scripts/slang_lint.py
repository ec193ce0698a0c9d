# Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
"""Elaborates SystemVerilog with slang; the arguments are those of slang. Exits 1 on any warning."""

import sys

from pyslang.driver import Driver


def main() -> int:
    driver = Driver()
    driver.addStandardArgs()
    command = " ".join(["slang", "-Werror", "-Wextra", "-Wno-case-redundant-default", *sys.argv[1:]])
    if not driver.parseCommandLine(command) or not driver.processOptions():
        return 1
    return 0 if driver.parseAllSources() and driver.runFullCompilation(False) else 1


if __name__ == "__main__":
    sys.exit(main())
