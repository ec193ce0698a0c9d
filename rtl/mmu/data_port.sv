// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Translated accesses on their way to memory and back: one register towards memory, and a slot for
// each access in flight.
//
// push_i is taken when push_ready_o is 1. Memory sees the request in the next cycle; a response comes
// out combinationally in the cycle in which memory gives it, and is always accepted.
module data_port
  import access_pkg::*;
  import bus_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input  logic     push_i,
    input  mem_req_t push_req_i,   // its tag is assigned here
    input  done_t    push_done_i,
    input  logic     push_old_i,   // translated before the last invalidation
    output logic     push_ready_o,

    input  logic mark_i,   // an invalidation takes effect: what is in flight is older than it
    output logic old_o,    // something older than an invalidation is in flight

    output logic        done_o,
    output done_t       done_access_o,
    output logic        done_error_o,
    output logic [63:0] done_data_o,   // the aligned 8 bytes

    output logic empty_o,   // nothing in flight
    output logic stalled_o, // memory does not take what is offered

    output logic     mem_valid_o,
    output mem_req_t mem_req_o,
    input  logic     mem_ready_i,
    input  mem_rsp_t mem_rsp_i
);

  localparam int unsigned Slots = 1 << TAG_BITS;

  logic [Slots-1:0] busy_q, old_q;
  done_t done_q[Slots];
  logic out_valid_q;
  mem_req_t out_q;

  logic [TAG_BITS-1:0] free;
  always_comb begin
    free = '0;
    for (int unsigned i = 0; i < Slots; i++) if (!busy_q[i]) free = TAG_BITS'(i);
  end

  assign push_ready_o = !(&busy_q) && (!out_valid_q || mem_ready_i);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q <= '0;
      old_q <= '0;
      out_valid_q <= 1'b0;
      out_q <= '0;
      for (int unsigned i = 0; i < Slots; i++) done_q[i] <= '0;
    end else if (busy_q != '0 || push_i) begin
      if (mark_i) old_q <= busy_q;
      if (mem_ready_i) out_valid_q <= 1'b0;
      if (mem_rsp_i.valid) begin
        busy_q[mem_rsp_i.tag] <= 1'b0;
        old_q[mem_rsp_i.tag] <= 1'b0;
      end
      if (push_i && push_ready_o) begin
        busy_q[free] <= 1'b1;
        old_q[free] <= push_old_i;
        done_q[free] <= push_done_i;
        out_valid_q <= 1'b1;
        out_q <= push_req_i;
        out_q.tag <= free;
      end
    end
  end

  assign done_o        = mem_rsp_i.valid;
  assign done_access_o = done_q[mem_rsp_i.tag];
  assign done_error_o  = mem_rsp_i.error;
  assign done_data_o   = mem_rsp_i.data;

  assign empty_o     = busy_q == '0;
  assign old_o       = old_q != '0;
  assign stalled_o   = out_valid_q && !mem_ready_i;
  assign mem_valid_o = out_valid_q;
  assign mem_req_o   = out_q;

endmodule
