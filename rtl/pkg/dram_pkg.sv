// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What the parts of a memory channel have in common: a queued request, names of places, and the order
// of instants.
package dram_pkg;
  import memory_pkg::*;

  // Within a 64-bit word: what a simulator handles fast.
  typedef struct packed {
    logic      walk;  // a descriptor read or compare-and-swap
    location_t at;
  } queued_t;

  typedef logic [RANK_BITS-1:0] rank_t;
  typedef logic [RANK_BITS+GROUP_BITS-1:0] group_t;

  function automatic rank_t rank_of(bank_t bank);
    return rank_t'(bank >> (GROUP_BITS + BANK_BITS));
  endfunction

  function automatic group_t group_of(bank_t bank);
    return group_t'(bank >> BANK_BITS);
  endfunction

  // Instants wrap: none compared are further apart than half their range.
  function automatic logic reached(instant_t now, instant_t at);
    return signed'(now - at) >= 0;
  endfunction

  function automatic instant_t later(instant_t a, instant_t b);
    return reached(a, b) ? a : b;
  endfunction

endpackage
