// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The coherence point of one node's memory: gives every location one order of reads, writes and
// compare-and-swaps, and performs the last atomically (ORD-20, HAF-02).
//
// Reads and writes pass to the DRAM port one a cycle, up to 16 in flight, and answer when DRAM
// answers. A compare-and-swap waits until nothing is in flight, then reads, compares and writes while
// nothing else is accepted. Latency: 1 cycle each way; a compare-and-swap takes two DRAM accesses.
// A write is visible to all from the cycle in which it stands at the DRAM port (ORD-21), which is
// when it is reported on the observation lane.
module home_agent
  import bus_pkg::*;
  import socket_pkg::*;
#(
    parameter int unsigned Ports = 2
) (
    input logic clk_i,
    input logic rst_ni,

    input logic go_i,  // delay injection: a request may be accepted

    input  logic                     valid_i,
    input  mem_req_t                 req_i,
    input  logic [$clog2(Ports)-1:0] port_i,
    output logic                     ready_o,

    output mem_rsp_t [Ports-1:0] rsp_o,

    output dram_req_t dram_req_o,
    input  dram_rsp_t dram_rsp_i,
    output node_obs_t obs_o
);

  localparam int unsigned Slots = 16;
  typedef logic [$clog2(Slots)-1:0] slot_t;
  typedef logic [$clog2(Ports)-1:0] port_t;

  typedef enum logic [2:0] {
    PASS,        // reads and writes flow
    CAS_DRAIN,   // a compare-and-swap waits for what is in flight
    CAS_READ,
    CAS_COMPARE,
    CAS_WRITE
  } state_e;

  state_e state_q;
  mem_req_t cas_q;
  port_t cas_port_q;
  logic [63:0] old_q;

  logic [Slots-1:0] busy_q;
  port_t slot_port_q[Slots];
  logic [TAG_BITS-1:0] slot_tag_q[Slots];

  slot_t free;
  always_comb begin
    free = '0;
    for (int unsigned i = 0; i < Slots; i++) if (!busy_q[i]) free = slot_t'(i);
  end

  logic is_cas, pass;
  assign is_cas  = req_i.op == MEM_CAS;
  assign ready_o = state_q == PASS && !(&busy_q) && go_i;
  assign pass    = valid_i && ready_o && !is_cas;

  // Bytes that the compare-and-swap looks at and writes.
  logic [63:0] byte_lanes;
  logic equal;
  always_comb begin
    for (int unsigned i = 0; i < 8; i++) byte_lanes[8*i+:8] = {8{cas_q.strb[i]}};
  end
  assign equal = ((old_q ^ cas_q.compare) & byte_lanes) == '0;

  logic cas_read, cas_write;
  assign cas_read  = state_q == CAS_DRAIN && busy_q == '0;
  assign cas_write = state_q == CAS_COMPARE && equal;

  // ---- towards DRAM ---------------------------------------------------------------------------

  dram_req_t dram_q;
  node_obs_t obs_q;
  mem_req_t out;
  logic send, write;
  assign out   = state_q == PASS ? req_i : cas_q;
  assign send  = pass || cas_read || cas_write;
  assign write = pass ? req_i.op == MEM_WRITE : cas_write;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      dram_q <= '0;
      obs_q  <= '0;
    end else begin
      dram_q.valid <= send;
      obs_q.valid  <= send && write;
      if (send) begin
        dram_q.write <= write;
        dram_q.strb  <= out.strb;
        dram_q.addr  <= 64'(out.addr);
        dram_q.data  <= out.data;
        dram_q.tag   <= 16'(free);
        obs_q.kind   <= pass ? COMMIT_STORE : cas_q.update ? COMMIT_UPDATE : COMMIT_CAS;
        obs_q.source <= (pass ? 8'(port_i) : 8'(cas_port_q)) >> 1;  // two ports a core
        obs_q.strb   <= out.strb;
        obs_q.addr   <= 64'(out.addr);
        obs_q.data   <= out.data;
      end
    end
  end

  assign dram_req_o = dram_q;
  assign obs_o      = obs_q;

  // ---- from DRAM ------------------------------------------------------------------------------

  dram_rsp_t in_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) in_q <= '0;
    else in_q <= dram_rsp_i;
  end

  slot_t in_slot;
  logic cas_answer;
  assign in_slot    = slot_t'(in_q.tag);
  assign cas_answer = in_q.valid && (state_q == CAS_WRITE || (state_q == CAS_READ && in_q.error));

  always_comb begin
    rsp_o = '0;
    if (in_q.valid && state_q inside {PASS, CAS_DRAIN}) begin
      rsp_o[slot_port_q[in_slot]] = '{
        valid: 1'b1,
        error: in_q.error,
        tag: slot_tag_q[in_slot],
        data: in_q.data
      };
    end
    if (cas_answer || (state_q == CAS_COMPARE && !equal)) begin
      rsp_o[cas_port_q] = '{
        valid: 1'b1,
        error: cas_answer && in_q.error,
        tag: cas_q.tag,
        data: old_q
      };
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= PASS;
      cas_q <= '0;
      cas_port_q <= '0;
      old_q <= '0;
      busy_q <= '0;
      for (int unsigned i = 0; i < Slots; i++) begin
        slot_port_q[i] <= '0;
        slot_tag_q[i] <= '0;
      end
    end else begin
      if (in_q.valid) busy_q[in_slot] <= 1'b0;
      if (send) begin
        busy_q[free] <= 1'b1;
        slot_port_q[free] <= port_i;
        slot_tag_q[free] <= req_i.tag;
      end
      unique case (state_q)
        PASS: begin
          if (valid_i && ready_o && is_cas) begin
            state_q <= CAS_DRAIN;
            cas_q <= req_i;
            cas_port_q <= port_i;
          end
        end
        CAS_DRAIN: if (busy_q == '0) state_q <= CAS_READ;
        CAS_READ: begin
          if (in_q.valid) begin
            old_q <= in_q.data;
            state_q <= in_q.error ? PASS : CAS_COMPARE;
          end
        end
        CAS_COMPARE: state_q <= equal ? CAS_WRITE : PASS;
        CAS_WRITE: if (in_q.valid) state_q <= PASS;
        default: state_q <= PASS;
      endcase
    end
  end

  logic unused;
  assign unused = ^{1'b0, in_q, out};

endmodule
