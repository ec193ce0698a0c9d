// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The match key of a TLB or walk-cache entry, what an invalidation selects, and the size classes of
// the second-level TLB.
package tlb_pkg;

  import vmsa_pkg::*;

  /* verilator lint_off UNUSEDSIGNAL */
  /* verilator lint_off UNUSEDPARAM */

  // An entry stores a key and a mask, and hits when (key of the access & mask) == key of the entry.
  // The size of the page, block or run and nG are in the mask, so a lookup decodes nothing.
  // `live` is 1 in every lookup and in every key filled in; the arrays keep apart which entries are live.
  typedef struct packed {
    logic        live;
    logic [15:0] asid;   // masked out in a global entry (TLB-22)
    logic        upper;  // VA[55]: which TTBR (TLB-31)
    vpn_t        vpn;    // VA[47:12]
  } key_t;

  // What a TLBI names (section 11.2): pages low to high, both included.
  typedef struct packed {
    logic        every;       // VMALLE1
    logic        by_va;       // the VA and range forms; else by ASID alone
    logic        any_asid;    // the VAA forms
    logic        last_level;  // table entries may stay
    logic        hinted;      // only leaves of `granule` and `level` need go
    granule_e    granule;
    level_t      level;
    logic [15:0] asid;
    logic        upper;
    vpn_t        low;
    vpn_t        high;
  } invalidate_t;

  // Whether `inv` names an entry with this key and mask. A global entry has its ASID masked out: it
  // leaves with any VA form, and may stay for ASIDE1 (TLBI-02, TLBI-03).
  function automatic logic names(invalidate_t inv, key_t key, key_t mask);
    logic asid_equal;
    asid_equal = key.asid == inv.asid;
    if (!key.live) return 1'b0;
    if (inv.every) return 1'b1;
    if (!inv.by_va) return mask.asid != '0 && asid_equal;
    return key.upper == inv.upper && key.vpn <= inv.high && (key.vpn | ~mask.vpn) >= inv.low &&
           (inv.any_asid || mask.asid == '0 || asid_equal);
  endfunction

  // ---- second level ---------------------------------------------------------------------------

  // The sizes that entries of one granule can have, smallest first: leaf or run at level 3, 2, 1.
  parameter int unsigned CLASSES = 6;
  typedef logic [2:0] class_t;

  function automatic class_t class_of(level_t level, logic is_run);
    return {2'd3 - level, is_run};
  endfunction

  function automatic level_t class_level(class_t c);
    return 2'd3 - c[2:1];
  endfunction

  // VPN bits below the span of a class.
  function automatic logic [5:0] class_shift(granule_e granule, class_t c);
    return level_lsb(granule, class_level(c)) - 6'd12 +
           (c[0] ? run_bits(granule, class_level(c)) : 6'd0);
  endfunction

  typedef struct packed {
    logic        valid;
    logic        is_global;
    logic        prefetched;  // by a prefetch walk, and not hit since
    granule_e    granule;
    class_t      size;
    logic [15:0] asid;
    logic        upper;
    vpn_t        vpn;         // bits inside the span are zero
  } l2_tag_t;

  // What a fill of the second level brings.
  typedef struct packed {
    logic        is_global;
    logic        prefetch;
    granule_e    granule;
    logic [15:0] asid;
    logic [63:0] va;
    leaf_t       leaf;
    logic        instr;       // of the access that walked
    logic        writes;
    logic [15:0] id;
  } l2_fill_t;

  /* verilator lint_on UNUSEDPARAM */
  /* verilator lint_on UNUSEDSIGNAL */

endpackage
