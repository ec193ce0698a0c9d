// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The socket: formats of every lane that crosses the boundary between hardware and software.
//
// Each lane is a packed struct of whole 64-bit words. The first word (bits 63:0) is control and its
// bit 0 is always `valid`, so that a simulator can copy a port as words and test for work without
// knowing the rest. `cosim/src/dut/ports.rs` mirrors this file; ABI_VERSION changes with it.
//
// Handshakes:
//   core_req   software drives `valid` for one cycle, only if `req_ready` of that core's last
//              observed response lane was 1. The socket queues what it accepts.
//   core_rsp   one cycle of `valid` a response, matched by `id`; software always accepts.
//              Responses of different requests may come out of order.
//   dram_req   one cycle of `valid` a request; software always accepts. Requests to one address
//              take effect in the order in which they appear.
//   dram_rsp   software answers each request once, in any order, matched by `tag`.
//   *_obs      one cycle of `valid` an event; they inform only and may be ignored.
//   pmu        `pmu_index` (pmu_pkg) chooses the counter that `pmu_value` shows of every core, in the
//              same cycle and without any effect on what the hardware does (PMU-08); `node_value`
//              shows the counter of that index (node_pmu_pkg) of every node.
//   command    one cycle of `valid` a command on the bus of a memory channel; they inform only.
package socket_pkg;

  // A format is listed in full whether or not each value has a reader in the RTL.
  /* verilator lint_off UNUSEDPARAM */

  parameter logic [15:0] ABI_MAGIC = 16'h4d4d;
  parameter logic [15:0] ABI_VERSION = 16'd3;

  // What a core asks for.
  typedef enum logic [3:0] {
    OP_LOAD  = 4'd0,
    OP_STORE = 4'd1,
    OP_CAS   = 4'd2,
    OP_FETCH = 4'd3,
    OP_AT    = 4'd4,
    OP_TLBI  = 4'd5,
    OP_DSB   = 4'd6,
    OP_ISB   = 4'd7,
    OP_MSR   = 4'd8
  } core_op_e;

  // Field `sub` of OP_MSR.
  typedef enum logic [5:0] {
    REG_TTBR0 = 6'd0,
    REG_TTBR1 = 6'd1,
    REG_TCR   = 6'd2,
    REG_MAIR  = 6'd3,
    REG_SCTLR = 6'd4
  } sysreg_e;

  // Field `sub` of OP_TLBI: bits 2:0 are op2 of the instruction, bits 5:3 the group (its CRm).
  typedef enum logic [2:0] {
    TLBI_VMALL = 3'd0,
    TLBI_VA    = 3'd1,
    TLBI_ASID  = 3'd2,
    TLBI_VAA   = 3'd3,
    TLBI_VAL   = 3'd5,
    TLBI_VAAL  = 3'd7
  } tlbi_op_e;

  typedef enum logic [2:0] {
    TLBI_LOCAL       = 3'd0,
    TLBI_IS          = 3'd1,
    TLBI_OS          = 3'd2,
    TLBI_RANGE_LOCAL = 3'd3,  // the range forms: RVAE1, RVAAE1, RVALE1, RVAALE1
    TLBI_RANGE_IS    = 3'd4,
    TLBI_RANGE_OS    = 3'd5
  } tlbi_group_e;

  // Field `sub` of OP_DSB is CRm of the instruction: bits 3:2 the domain, bits 1:0 the access types.
  parameter logic [1:0] DSB_DOMAIN_OSH = 2'd0;
  parameter logic [1:0] DSB_DOMAIN_NSH = 2'd1;
  parameter logic [1:0] DSB_DOMAIN_ISH = 2'd2;
  parameter logic [1:0] DSB_DOMAIN_SY = 2'd3;
  parameter logic [1:0] DSB_TYPE_LD = 2'd1;
  parameter logic [1:0] DSB_TYPE_ST = 2'd2;
  parameter logic [1:0] DSB_TYPE_FULL = 2'd3;

  // Bit 0 of `sub` of OP_AT: 0 AT S1ExR, 1 AT S1ExW. The exception level comes from `el`, and
  // `pan` = 1 makes it the RP/WP form.

  // 256 bits.
  typedef struct packed {
    logic [63:0] compare;  // word 3: CAS expected value
    logic [63:0] data;     // word 2: store data, CAS new value, MSR value, TLBI operand Xt
    logic [63:0] va;       // word 1: address as issued, tag byte included
    logic [31:0] rsvd1;    // word 0, bits 63:32
    logic [15:0] id;       //   31:16 returned with the response
    logic [5:0]  sub;      //   15:10 see above
    logic        rsvd0;    //   9
    logic        pan;      //   8     PSTATE.PAN of the access
    logic        el;       //   7     privilege of the access: 0 EL0 (or unprivileged), 1 EL1
    logic [1:0]  size;     //   6:5   log2 of the bytes accessed
    core_op_e    op;       //   4:1
    logic        valid;    //   0
  } core_req_t;

  // Where the translation that an access used came from.
  typedef enum logic [1:0] {
    FROM_NONE = 2'd0,  // translation off, or faulted before a lookup
    FROM_L1   = 2'd1,
    FROM_L2   = 2'd2,
    FROM_WALK = 2'd3
  } hit_place_e;

  // 256 bits.
  typedef struct packed {
    logic [63:0] va;         // word 3: address as issued (FAR_EL1)
    logic [63:0] data;       // word 2: load, fetch or CAS result
    logic [63:0] pa;         // word 1: output address, bits above 51 zero; 0 on a fault
    logic        req_ready;  // word 0, bit 63: a request driven for the next cycle is accepted
    logic [8:0]  rsvd1;      //   62:54
    hit_place_e  place;      //   53:52
    core_op_e    op;         //   51:48
    logic [15:0] id;         //   47:32
    logic [5:0]  rsvd0;      //   31:26
    logic [1:0]  sh;         //   25:24 0 NSH, 2 OSH, 3 ISH, as PAR_EL1.SH
    logic [7:0]  attr;       //   23:16 as PAR_EL1.ATTR
    logic [1:0]  rsvd2;      //   15:14
    logic        walked;     //   13    a table walk was begun for this access
    logic        lookup;     //   12    the access looked up a first-level TLB
    logic        undef;      //   11    the operation does not exist in this hardware
    logic        cm;         //   10    ESR.ISS.CM
    logic        s1ptw;      //   9     ESR.ISS.S1PTW
    logic        wnr;        //   8     ESR.ISS.WnR
    logic [5:0]  fsc;        //   7:2   ESR.ISS fault status code, valid with fault
    logic        fault;      //   1
    logic        valid;      //   0
  } core_rsp_t;

  typedef enum logic [1:0] {
    WALK_BEGIN = 2'd0,
    WALK_STEP  = 2'd1,  // a descriptor was read
    WALK_SWAP  = 2'd2,  // a hardware update was answered; `value` is what memory held
    WALK_END   = 2'd3
  } walk_event_e;

  // Something that a walk did; three of them may be seen in one cycle, of different walks.
  typedef struct packed {
    logic [29:0] rsvd1;      // 63:34
    logic        discarded;  // 33    STEP, SWAP: the walk was cancelled while this read was under way
    logic        merged;     // 32    END: the result serves an access that joined the walk
    logic [15:0] id;         // 31:16 id of the request that walks
    logic [1:0]  slot;       // 15:14 which of the concurrent walks
    logic [5:0]  fsc;        // 13:8  END with flag
    logic        prefetch;   // 7     no access asked for this walk
    logic        flag;       // 6     BEGIN: starts below a cached table; STEP, SWAP: error response;
                             //       END: the walk found a fault
    logic [1:0]  level;      // 5:4   of the descriptor; BEGIN: of the first one to be read
    logic        instr;      // 3
    walk_event_e kind;       // 2:1
    logic        valid;      // 0
  } walk_obs_t;

  // An entry written into a TLB or walk cache.
  typedef struct packed {
    logic [15:0] id;         // 63:48 id of the request that caused it
    logic [15:0] asid;       // 47:32
    logic [15:0] index;      // 31:16 first level and walk cache: entry; second level: set in 7:0, way in 10:8
    logic [7:0]  count;      // 15:8  entries that the fill removed because they overlap
    logic        contiguous; // 7     the entry is a contiguous run
    logic        is_global;  // 6     nG = 0
    logic [1:0]  level;      // 5:4   of the leaf; walk cache: of the table descriptor
    logic        prefetch;   // 3     the fill comes from a prefetch walk
    logic        from_l2;    // 2     first level: the entry comes from the second level
    logic        instr;      // 1     first level: ITLB, else DTLB; others: side that walked
    logic        valid;      // 0
  } fill_obs_t;

  // An operation that took effect on this core's TLBs, and one whose entries are gone from the second
  // level too (which answers no lookup in between).
  typedef struct packed {
    logic [15:0] l2_count;   // 63:48 with l2_done: second-level entries removed
    logic [7:0]  wc_count;   // 47:40 walk-cache entries removed
    logic [15:0] l1_count;   // 39:24 first-level entries removed
    logic [7:0]  tag;        // 23:16 number of the operation among its core's, modulo 256
    logic [7:0]  source;     // 15:8  core that issued it
    logic [3:0]  cancelled;  // 7:4   walks cancelled, by slot
    logic        rsvd;       // 3
    logic        local_only; // 2     the operation was not broadcast
    logic        l2_done;    // 1
    logic        valid;      // 0
  } invalidate_obs_t;

  // Invalidation messages between cores.
  typedef struct packed {
    logic [39:0] rsvd1;      // 63:24
    logic [7:0]  tag;        // 23:16 of the INV sent
    logic [7:0]  source;     // 15:8  core whose SYNC was answered
    logic [2:0]  rsvd0;      // 7:5
    logic        answered;   // 4     this core answered a SYNC
    logic        sync_done;  // 3     this core's SYNC was answered by all
    logic        sync_sent;  // 2
    logic        inv_sent;   // 1
    logic        valid;      // 0     any of them
  } dvm_obs_t;

  // 1536 bits: what happens inside one core's MMU.
  typedef struct packed {
    dvm_obs_t        dvm;          // word 23
    invalidate_obs_t inv;          // word 22
    logic [63:0]     wc_mask;      // word 21: VA bits of the entry that take part in a match
    logic [63:0]     wc_pa;        // word 20: next table
    logic [63:0]     wc_va;        // word 19
    fill_obs_t       wc;           // word 18: walk cache
    logic [63:0]     l2_mask;      // word 17
    logic [63:0]     l2_pa;        // word 16
    logic [63:0]     l2_va;        // word 15
    fill_obs_t       l2;           // word 14: second-level TLB
    logic [63:0]     l1_mask;      // word 13
    logic [63:0]     l1_pa;        // word 12: output address of the first byte of the entry
    logic [63:0]     l1_va;        // word 11: first byte of the entry, sign extended
    fill_obs_t       l1;           // word 10: first-level TLB
    logic [63:0]     end_va;       // word 9
    walk_obs_t       walk_end;     // word 8
    logic [63:0]     step_value;   // word 7: descriptor as decoded (after any byte swap)
    logic [63:0]     step_addr;    // word 6: descriptor address
    logic [63:0]     step_va;      // word 5
    walk_obs_t       walk_step;    // word 4: STEP or SWAP
    logic [63:0]     begin_addr;   // word 3: address of the first descriptor to be read
    logic [63:0]     begin_va;     // word 2
    walk_obs_t       walk_begin;   // word 1
    logic [62:0]     rsvd;         // word 0
    logic            valid;        //   0: any of the above is valid
  } core_obs_t;

  // 192 bits.
  typedef struct packed {
    logic [63:0] data;   // word 2
    logic [63:0] addr;   // word 1: physical address, 8-byte aligned
    logic [31:0] rsvd1;  // word 0, bits 63:32
    logic [15:0] tag;    //   31:16
    logic [7:0]  strb;   //   15:8  byte enables of a write
    logic [5:0]  rsvd0;  //   7:2
    logic        write;  //   1
    logic        valid;  //   0
  } dram_req_t;

  // 128 bits.
  typedef struct packed {
    logic [63:0] data;   // word 1
    logic [31:0] rsvd1;  // word 0, bits 63:32
    logic [15:0] tag;    //   31:16
    logic [13:0] rsvd0;  //   15:2
    logic        error;  //   1     the read or write failed and had no effect
    logic        valid;  //   0
  } dram_rsp_t;

  typedef enum logic [1:0] {
    COMMIT_STORE  = 2'd0,
    COMMIT_CAS    = 2'd1,  // compare-and-swap of a core
    COMMIT_UPDATE = 2'd2   // access flag or dirty state update of a walker
  } commit_kind_e;

  // 256 bits: a write became visible to every observer (MEM-21).
  typedef struct packed {
    logic [63:0] rsvd2;   // word 3
    logic [63:0] data;    // word 2: bytes written, in place
    logic [63:0] addr;    // word 1
    logic [39:0] rsvd1;   // word 0, bits 63:24
    logic [7:0]  strb;    //   23:16
    logic [7:0]  source;  //   15:8  core
    logic [4:0]  rsvd0;   //   7:3
    commit_kind_e kind;   //   2:1
    logic        valid;   //   0
  } node_obs_t;

  typedef enum logic [2:0] {
    DRAM_ACTIVATE      = 3'd0,
    DRAM_PRECHARGE     = 3'd1,
    DRAM_PRECHARGE_ALL = 3'd2,  // of the rank
    DRAM_READ          = 3'd3,
    DRAM_WRITE         = 3'd4,
    DRAM_REFRESH       = 3'd5   // of the rank
  } dram_command_e;

  // 64 bits: a command on the bus of a memory channel (MEM-01).
  typedef struct packed {
    logic [7:0]    column;  // 63:56 line of the row
    logic [35:0]   row;     // 55:20
    logic [3:0]    rank;    // 19:16
    logic [3:0]    group;   // 15:12 bank group
    logic [3:0]    bank;    // 11:8  of its group
    logic [3:0]    rsvd;    //  7:4
    dram_command_e kind;    //  3:1
    logic          valid;   //  0
  } command_obs_t;

  // Channels on which pseudo-random delays can be injected.
  parameter int unsigned DELAY_CORE_REQ = 0;  // requests of software
  parameter int unsigned DELAY_CORE_RSP = 1;  // responses of operations that need no memory
  parameter int unsigned DELAY_MEM_REQ = 2;   // requests to a home agent
  parameter int unsigned DELAY_MEM_RSP = 3;   // its answers
  parameter int unsigned DELAY_MISS = 4;      // first-level misses on their way to the second level
  parameter int unsigned DELAY_DVM = 5;       // invalidation messages
  parameter int unsigned DELAY_CHANNELS = 6;

  // 64 bits, sampled while in reset.
  typedef struct packed {
    logic [5:0]  rsvd;
    logic [15:0] delay_seed;      // 57:42
    logic [5:0]  delay;           // 41:36 one bit a channel
    logic        conflict_abort;  // 35    0: BBM_NOABORT
    logic [1:0]  bbml;            // 34:33 FEAT_BBM level
    logic        ets0;            // 32    1: without FEAT_ETS2
    logic        prefetch;        // 31    a walk for the next page follows each demand walk
    logic [2:0]  walkers;         // 30:28 concurrent walks, 1 to the number built
    logic        walk_caches;     // 27
    logic [3:0]  l2_sets_log2;    // 26:23 sets of the second-level TLB in use, as log2
    logic [2:0]  l2_ways;         // 22:20 its ways in use; 0: no second-level TLB
    logic        asid8;           // 19    1: 8-bit ASIDs
    logic [1:0]  hafdbs;          // 18:17 0 none, 1 access flag, 2 access flag and dirty state
    logic        contiguous;      // 16    1: a contiguous run is one entry; 0: the hint is ignored
    logic [7:0]  dtlb_entries;    // 15:8  entries in use, 1 to the number built
    logic [7:0]  itlb_entries;    // 7:0
  } strap_t;

  // 192 bits, constant.
  typedef struct packed {
    logic [39:0] rsvd;                // word 2, bits 63:24
    logic [7:0]  node_counters;       //   23:16
    logic [7:0]  channels;            //   15:8  memory channels of a node
    logic [7:0]  cpu_nodes;           //   7:0   nodes with cores: the first ones
    logic [7:0]  walk_cache_entries;  // word 1, bits 63:56
    logic [7:0]  walkers;             //   55:48 concurrent walks built
    logic [7:0]  l2_sets_log2;        //   47:40
    logic [7:0]  l2_ways;             //   39:32
    logic [7:0]  pamax;               //   31:24 bits of physical address
    logic [7:0]  asid_bits;           //   23:16
    logic [7:0]  dtlb_entries;        //   15:8  entries built
    logic [7:0]  itlb_entries;        //   7:0
    logic [15:0] counters;            // word 0, bits 63:48
    logic [7:0]  nodes;               //   47:40 1 to 8
    logic [7:0]  cores;               //   39:32 of all nodes
    logic [15:0] version;             //   31:16
    logic [15:0] magic;               //   15:0
  } info_t;

  /* verilator lint_on UNUSEDPARAM */

endpackage
