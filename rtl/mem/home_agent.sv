// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The coherence point of one node's memory: gives every location one order of reads, writes and
// compare-and-swaps, and performs the last atomically (ORD-20, HAF-02).
//
// A request is performed when it is accepted: it passes to the DRAM port, one a cycle. It is answered
// when DRAM has answered and, with timed_i, when the memory controller says that its time has come;
// without, in the same cycle as DRAM. A compare-and-swap waits until DRAM has answered everything,
// then reads, compares and writes while nothing else is accepted. Latency: 1 cycle each way; a
// compare-and-swap takes two DRAM accesses. A write is visible to all from the cycle in which it
// stands at the DRAM port (ORD-21), which is when it is reported on the observation lane.
module home_agent
  import bus_pkg::*;
  import memory_pkg::clocks_t;
  import memory_pkg::line_t;
  import socket_pkg::*;
#(
    parameter int unsigned Ports = 2,
    localparam int unsigned IdBits = 6
) (
    input logic clk_i,
    input logic rst_ni,

    input logic go_i,     // delay injection: a request may be accepted
    input logic timed_i,  // answers wait for the memory controller

    input  logic                     valid_i,
    input  mem_req_t                 req_i,
    input  logic [$clog2(Ports)-1:0] port_i,
    input  clocks_t                  stamp_i,  // comes back with the answer
    output logic                     ready_o,

    output mem_rsp_t                 rsp_o,
    output logic [$clog2(Ports)-1:0] rsp_port_o,
    output clocks_t                  rsp_stamp_o,

    output dram_req_t dram_req_o,
    input  dram_rsp_t dram_rsp_i,
    output node_obs_t obs_o,

    output logic              time_push_o,
    output logic              time_write_o,
    output logic              time_walk_o,
    output logic [IdBits-1:0] time_id_o,
    output line_t             time_line_o,
    input  logic              time_ready_i,
    input  logic              time_done_i,
    input  logic [IdBits-1:0] time_id_i
);

  localparam int unsigned Slots = 1 << IdBits;
  typedef logic [IdBits-1:0] slot_t;
  typedef logic [$clog2(Ports)-1:0] port_t;

  typedef enum logic [2:0] {
    PASS,        // reads and writes flow
    CAS_DRAIN,   // a compare-and-swap waits for what DRAM has not answered
    CAS_READ,
    CAS_COMPARE,
    CAS_WRITE
  } state_e;

  state_e state_q;
  mem_req_t cas_q;
  slot_t cas_slot_q;
  logic [63:0] old_q;

  // In use; not answered by DRAM; not released by the controller; to be answered to nobody.
  logic [Slots-1:0] busy_q, dram_q, time_q, silent_q;
  port_t slot_port_q[Slots];
  clocks_t slot_stamp_q[Slots];
  logic [TAG_BITS-1:0] slot_tag_q[Slots];
  logic [63:0] slot_data_q[Slots];
  logic [Slots-1:0] slot_error_q;

  slot_t free;
  logic [Slots-1:0] lowest;
  assign lowest = ~busy_q & -(~busy_q);
  always_comb begin
    free = '0;
    for (int unsigned i = 0; i < Slots; i++) if (lowest[i]) free |= slot_t'(i);
  end

  logic is_cas, taken, pass;
  assign is_cas  = req_i.op == MEM_CAS;
  assign ready_o = state_q == PASS && !(&busy_q) && go_i && (!timed_i || time_ready_i);
  assign taken   = valid_i && ready_o;
  assign pass    = taken && !is_cas;

  // Bytes that the compare-and-swap looks at and writes.
  logic [63:0] byte_lanes;
  logic equal;
  always_comb begin
    for (int unsigned i = 0; i < 8; i++) byte_lanes[8*i+:8] = {8{cas_q.strb[i]}};
  end
  assign equal = ((old_q ^ cas_q.compare) & byte_lanes) == '0;

  // The write of a compare-and-swap takes its own time in the controller.
  logic cas_read, cas_write;
  assign cas_read  = state_q == CAS_DRAIN && dram_q == '0;
  assign cas_write = state_q == CAS_COMPARE && equal && (!timed_i || (time_ready_i && !(&busy_q)));

  // ---- towards DRAM and the controller ----------------------------------------------------------

  dram_req_t out_q;
  node_obs_t obs_q;
  mem_req_t out;
  slot_t slot;
  logic send, write;
  assign out   = state_q == PASS ? req_i : cas_q;
  assign slot  = state_q == PASS ? free : cas_slot_q;
  assign send  = pass || cas_read || cas_write;
  assign write = pass ? req_i.op == MEM_WRITE : cas_write;

  assign time_push_o  = timed_i && (taken || cas_write);
  assign time_write_o = state_q == PASS ? req_i.op == MEM_WRITE : 1'b1;
  assign time_walk_o  = is_cas || port_i[0];  // odd ports are those of walkers
  assign time_id_o    = free;
  assign time_line_o  = out.addr[47:6];

  port_t cas_port;
  assign cas_port = slot_port_q[cas_slot_q];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_q <= '0;
      obs_q <= '0;
    end else begin
      out_q.valid <= send;
      obs_q.valid <= send && write;
      if (send) begin
        out_q.write  <= write;
        out_q.strb   <= out.strb;
        out_q.addr   <= 64'(out.addr);
        out_q.data   <= out.data;
        out_q.tag    <= 16'(slot);
        obs_q.kind   <= pass ? COMMIT_STORE : cas_q.update ? COMMIT_UPDATE : COMMIT_CAS;
        obs_q.source <= (pass ? 8'(port_i) : 8'(cas_port)) >> 1;  // two ports a core
        obs_q.strb   <= out.strb;
        obs_q.addr   <= 64'(out.addr);
        obs_q.data   <= out.data;
      end
    end
  end

  assign dram_req_o = out_q;
  assign obs_o      = obs_q;

  // ---- answers ----------------------------------------------------------------------------------

  dram_rsp_t in_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) in_q <= '0;
    else in_q <= dram_rsp_i;
  end

  slot_t in_slot;
  logic plain, cas_over;
  assign in_slot  = slot_t'(in_q.tag);
  assign plain    = in_q.valid && state_q inside {PASS, CAS_DRAIN};
  assign cas_over = (in_q.valid && (state_q == CAS_WRITE || (state_q == CAS_READ && in_q.error)))
      || (state_q == CAS_COMPARE && !equal);

  // Performed and its time come: the first from next_q on, so that none waits for ever.
  logic [Slots-1:0] over, from_next, picked;
  slot_t next_q, pick;
  logic any;
  // A compare-and-swap under way has its slot, but is not over.
  assign over      = busy_q & ~dram_q & ~time_q
      & ~(state_q == PASS ? '0 : Slots'(1) << cas_slot_q);
  assign from_next = over & ~((Slots'(1) << next_q) - Slots'(1));
  assign picked    = from_next != '0 ? from_next & -from_next : over & -over;
  assign any       = timed_i && over != '0;
  always_comb begin
    pick = '0;
    if (any) for (int unsigned i = 0; i < Slots; i++) if (picked[i]) pick |= slot_t'(i);
  end

  always_comb begin
    rsp_o = '0;
    rsp_port_o = '0;
    rsp_stamp_o = '0;
    if (timed_i) begin
      if (any && !silent_q[pick]) begin
        rsp_port_o = slot_port_q[pick];
        rsp_stamp_o = slot_stamp_q[pick];
        rsp_o = '{
          valid: 1'b1,
          error: slot_error_q[pick],
          tag: slot_tag_q[pick],
          data: slot_data_q[pick]
        };
      end
    end else if (plain) begin
      rsp_port_o = slot_port_q[in_slot];
      rsp_stamp_o = slot_stamp_q[in_slot];
      rsp_o = '{valid: 1'b1, error: in_q.error, tag: slot_tag_q[in_slot], data: in_q.data};
    end else if (cas_over) begin
      rsp_port_o = cas_port;
      rsp_stamp_o = slot_stamp_q[cas_slot_q];
      rsp_o = '{
        valid: 1'b1,
        error: in_q.valid && in_q.error,
        tag: slot_tag_q[cas_slot_q],
        data: old_q
      };
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= PASS;
      cas_q <= '0;
      cas_slot_q <= '0;
      old_q <= '0;
      busy_q <= '0;
      dram_q <= '0;
      time_q <= '0;
      silent_q <= '0;
      slot_error_q <= '0;
      next_q <= '0;
    end else if (valid_i || busy_q != '0) begin
      if (plain) begin
        dram_q[in_slot] <= 1'b0;
        slot_data_q[in_slot] <= in_q.data;
        slot_error_q[in_slot] <= in_q.error;
        if (!timed_i) busy_q[in_slot] <= 1'b0;
      end
      if (cas_over) begin
        dram_q[cas_slot_q] <= 1'b0;
        slot_data_q[cas_slot_q] <= old_q;
        slot_error_q[cas_slot_q] <= in_q.valid && in_q.error;
        if (!timed_i) busy_q[cas_slot_q] <= 1'b0;
      end
      if (time_done_i) time_q[time_id_i] <= 1'b0;
      if (any) begin
        busy_q[pick] <= 1'b0;
        next_q <= pick + slot_t'(1);
      end
      if (taken) begin
        busy_q[free] <= 1'b1;
        dram_q[free] <= !is_cas;
        time_q[free] <= timed_i;
        silent_q[free] <= 1'b0;
        slot_port_q[free] <= port_i;
        slot_stamp_q[free] <= stamp_i;
        slot_tag_q[free] <= req_i.tag;
      end
      if (cas_write && timed_i) begin
        busy_q[free] <= 1'b1;
        dram_q[free] <= 1'b0;
        time_q[free] <= 1'b1;
        silent_q[free] <= 1'b1;
      end
      unique case (state_q)
        PASS: begin
          if (taken && is_cas) begin
            state_q <= CAS_DRAIN;
            cas_q <= req_i;
            cas_slot_q <= free;
          end
        end
        CAS_DRAIN: begin
          if (dram_q == '0) begin
            state_q <= CAS_READ;
            dram_q[cas_slot_q] <= 1'b1;  // until it is over
          end
        end
        CAS_READ: begin
          if (in_q.valid) begin
            old_q <= in_q.data;
            state_q <= in_q.error ? PASS : CAS_COMPARE;
          end
        end
        CAS_COMPARE: if (!equal) state_q <= PASS; else if (cas_write) state_q <= CAS_WRITE;
        CAS_WRITE: if (in_q.valid) state_q <= PASS;
        default: state_q <= PASS;
      endcase
    end
  end

  logic unused;
  assign unused = ^{1'b0, in_q, out};

endmodule
