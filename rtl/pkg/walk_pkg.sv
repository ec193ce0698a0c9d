// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What is asked of a table walker and what it answers.
package walk_pkg;

  import vmsa_pkg::*;

  // `probe` accesses never set the dirty state: address translation operations (HAF-14), and the
  // first pass over an access that crosses a page, whose other page may yet fault (HAF-08). That pass
  // is `dry`: it leaves the access flag too to the pass in earnest, which sets both in one swap
  // (HAF-06).
  typedef struct packed {
    logic [63:0] va;
    access_e     access;
    logic        el1;
    logic        pan;
    logic        probe;
    logic        dry;
    logic        unaligned;  // faults on Device memory
    logic [15:0] id;
  } walk_req_t;

  typedef struct packed {
    logic  fault;
    fsc_t  fsc;
    logic  wnr;
    logic  cacheable;  // the leaf may be kept
    logic  is_global;
    vpn_t  span;       // VPN bits that the entry translates
    leaf_t leaf;
  } walk_rsp_t;

endpackage
