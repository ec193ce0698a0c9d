// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The match key of a TLB entry, and what an invalidation selects.
package tlb_pkg;

  import vmsa_pkg::vpn_t;

  // An entry stores a key and a mask, and hits when (key of the access & mask) == key of the entry.
  // The size of the page, block or run and nG are in the mask, so a lookup decodes nothing.
  // `live` is 1 in every lookup and 0 in an empty entry, which therefore never matches.
  typedef struct packed {
    logic        live;
    logic [15:0] asid;   // masked out in a global entry (TLB-22)
    logic        upper;  // VA[55]: which TTBR (TLB-31)
    vpn_t        vpn;    // VA[47:12]
  } key_t;

  typedef struct packed {
    logic        every;    // VMALLE1
    logic        by_va;    // the VA forms; else by ASID alone
    logic        any_asid; // the VAA forms
    logic [15:0] asid;
    logic        upper;
    vpn_t        vpn;
  } invalidate_t;

endpackage
