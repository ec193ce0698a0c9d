// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Requests and responses between a core's ports and the home agents of memory.
//
// Request: valid/ready; the payload is stable while valid and not ready. Response: one cycle of
// valid, matched by tag, always accepted.
package bus_pkg;

  parameter int unsigned TAG_BITS = 3;

  typedef enum logic [1:0] {
    MEM_READ  = 2'd0,
    MEM_WRITE = 2'd1,
    MEM_CAS   = 2'd2   // compare the enabled bytes, write them if equal; answers the old value
  } mem_op_e;

  typedef struct packed {
    mem_op_e              op;
    logic                 update;   // a walker's access flag or dirty state update
    logic [47:0]          addr;     // 8-byte aligned
    logic [7:0]           strb;
    logic [63:0]          data;
    logic [63:0]          compare;
    logic [TAG_BITS-1:0]  tag;
  } mem_req_t;

  typedef struct packed {
    logic                 valid;
    logic                 error;
    logic [TAG_BITS-1:0]  tag;
    logic [63:0]          data;
  } mem_rsp_t;

endpackage
