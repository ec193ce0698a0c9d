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
package socket_pkg;

  // A format is listed in full whether or not each value has a reader in the RTL.
  /* verilator lint_off UNUSEDPARAM */

  parameter logic [15:0] ABI_MAGIC = 16'h4d4d;
  parameter logic [15:0] ABI_VERSION = 16'd1;

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
    TLBI_LOCAL = 3'd0,
    TLBI_IS    = 3'd1,
    TLBI_OS    = 3'd2
  } tlbi_group_e;

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
    logic [3:0]  rsvd2;      //   15:12
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

  typedef enum logic [1:0] {
    TLB_FILL       = 2'd0,
    TLB_INVALIDATE = 2'd1  // one event an operation; `count` entries removed
  } tlb_event_e;

  // 512 bits: what happens inside one core's MMU.
  typedef struct packed {
    logic [63:0] tlb_mask;     // word 7: VA bits of the entry that take part in a match
    logic [63:0] tlb_pa;       // word 6: output address of the first byte of the entry
    logic [63:0] tlb_va;       // word 5: first byte of the entry, sign extended
    logic [15:0] tlb_asid;     // word 4, bits 63:48
    logic [7:0]  tlb_rsvd1;    //   47:40
    logic [7:0]  tlb_count;    //   39:32 entries removed by an invalidation, or overlapped by a fill
    logic [7:0]  tlb_rsvd0;    //   31:24
    logic [7:0]  tlb_index;    //   23:16
    logic [8:0]  tlb_rsvd2;    //   15:7
    logic        tlb_global;   //   6     nG = 0
    logic [1:0]  tlb_level;    //   5:4   level of the leaf
    logic        tlb_instr;    //   3     0 DTLB, 1 ITLB
    tlb_event_e  tlb_kind;     //   2:1
    logic        tlb_valid;    //   0
    logic [63:0] walk_value;   // word 3: descriptor value as decoded (after any byte swap)
    logic [63:0] walk_addr;    // word 2: descriptor address
    logic [63:0] walk_va;      // word 1
    logic [31:0] walk_rsvd1;   // word 0, bits 63:32
    logic [15:0] walk_id;      //   31:16 id of the request that walks
    logic [1:0]  walk_rsvd0;   //   15:14
    logic [5:0]  walk_fsc;     //   13:8  with WALK_END and walk_fault
    logic        walk_rsvd2;   //   7
    logic        walk_fault;   //   6
    logic [1:0]  walk_level;   //   5:4
    logic        walk_instr;   //   3
    walk_event_e walk_kind;    //   2:1
    logic        walk_valid;   //   0
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

  // 64 bits, sampled while in reset.
  typedef struct packed {
    logic [42:0] rsvd;
    logic        stall;         // 20    1: memory refuses requests in pseudo-random cycles
    logic        asid8;         // 19    1: 8-bit ASIDs
    logic [1:0]  hafdbs;        // 18:17 0 none, 1 access flag, 2 access flag and dirty state
    logic        contiguous;    // 16    1: a contiguous run is one entry; 0: the hint is ignored
    logic [7:0]  dtlb_entries;  // 15:8  entries in use, 1 to the number built
    logic [7:0]  itlb_entries;  // 7:0
  } strap_t;

  // 128 bits, constant.
  typedef struct packed {
    logic [31:0] rsvd;          // word 1, bits 63:32
    logic [7:0]  pamax;         //   31:24 bits of physical address
    logic [7:0]  asid_bits;     //   23:16
    logic [7:0]  dtlb_entries;  //   15:8  entries built
    logic [7:0]  itlb_entries;  //   7:0
    logic [15:0] rsvd0;         // word 0, bits 63:48
    logic [7:0]  nodes;         //   47:40
    logic [7:0]  cores;         //   39:32
    logic [15:0] version;       //   31:16
    logic [15:0] magic;         //   15:0
  } info_t;

  /* verilator lint_on UNUSEDPARAM */

endpackage
