// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What is asked of the units behind the first-level TLBs and what they answer.
package walk_pkg;

  import vmsa_pkg::*;

  // Who waits for a translation: an entry of the miss queue, or the access unit itself.
  parameter int unsigned MISS_ENTRIES = 4;
  parameter int unsigned MISS_TAGS = MISS_ENTRIES + 1;
  parameter logic [2:0] TAG_BLOCKING = 3'(MISS_ENTRIES);

  // `probe` accesses never set the dirty state: address translation operations (HAF-14), prefetches
  // (WALK-23), and the first pass over an access that crosses a page, whose other page may yet fault
  // (HAF-08). That pass is `dry`: it leaves the access flag too to the pass in earnest, which sets
  // both in one swap (HAF-06).
  typedef struct packed {
    logic [63:0] va;
    access_e     access;
    logic        el1;
    logic        pan;
    logic        probe;
    logic        dry;
    logic        unaligned;  // faults on Device memory
    logic        skip_l2;    // a fresh look at the descriptor is needed
    logic        prefetch;
    logic [2:0]  tag;
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

  // The answer to one or more misses. `owner` asked for it; the others of `tags` joined its walk and
  // take it only if it may be kept.
  typedef struct packed {
    logic                 valid;
    logic [MISS_TAGS-1:0] tags;
    logic [2:0]           owner;
    logic                 from_l2;
    walk_rsp_t            rsp;
  } miss_rsp_t;

endpackage
