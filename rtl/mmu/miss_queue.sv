// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The accesses of one core that have left the head of program order without being done: at stage B,
// waiting for a translation, or waiting to go through stage B again with it.
//
// An access enters when it goes to stage B (alloc_i) and leaves when stage B is done with it
// (finish_i). If stage B finds no translation (miss_i) the entry asks the miss unit, and comes back
// by replay_*. Only loads, fetches and ATs pass older entries, and never one whose VA[11:3] is the
// same: so accesses to one location keep their order whatever the addresses translate to (ORD-30).
//
// WALK-27: a fault that a walk found while older accesses were under way is held, and looked for
// again once they are done; stop_o keeps younger accesses back meanwhile.
module miss_queue
  import access_pkg::*;
  import socket_pkg::*;
  import vmsa_pkg::*;
  import walk_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic ets0_i,
    input logic accesses_done_i,  // nothing is on its way in the data port, nor enters it
    input logic inv_i,            // an invalidation takes effect in this cycle

    // Program order.
    input  logic [8:0] word_i,    // VA[11:3] of the access at the head
    output logic       collides_o,
    output logic       empty_o,   // as of the end of this cycle
    output logic       full_o,
    output logic       stop_o,

    input  logic      alloc_i,
    input  core_req_t alloc_req_i,
    output logic [1:0] alloc_entry_o,

    // Stage B.
    input  logic [1:0] b_entry_i,
    input  logic       finish_i,
    input  logic       miss_i,
    input  logic       miss_skip_l2_i,

    output logic       replay_valid_o,
    output logic [1:0] replay_entry_o,
    output core_req_t  replay_req_o,
    output walk_rsp_t  replay_rsp_o,
    output logic       replay_from_l2_o,
    output logic       replay_walked_o,
    output logic       replay_old_o,
    input  logic       replay_i,

    output logic      ask_valid_o,
    output walk_req_t ask_o,
    input  logic      ask_ready_i,
    input  miss_rsp_t rsp_i,

    output logic old_o,     // an entry holds a translation from before the last invalidation
    output logic rewalk_o,  // a held fault is looked for again
    output logic refill_o,    // the answer of this cycle is an access's first that is kept
    output logic walked_o,  // the answer of this cycle is an access's first own walk
    output logic walked_instr_o
);

  typedef enum logic [2:0] {
    FREE,
    AT_B,
    ASK,     // to ask the miss unit
    ASKED,
    READY,   // rsp_q waits for stage B
    HELD     // a fault that came too early
  } state_e;

  localparam int unsigned N = MISS_ENTRIES;

  state_e       state_q[N];
  core_req_t    req_q[N];
  walk_rsp_t    rsp_q[N];
  logic [N-1:0] older_q[N];
  logic [N-1:0] skip_l2_q, early_q, from_l2_q, walked_q, old_q, refilled_q;

  logic [N-1:0] busy, leaving;
  logic [1:0] free_entry, ask_entry, replay_entry;
  logic any_ask, any_replay;

  always_comb begin
    leaving = '0;
    if (finish_i) leaving[b_entry_i] = 1'b1;
  end

  always_comb begin
    collides_o = 1'b0;
    for (int unsigned i = 0; i < N; i++) begin
      if (busy[i] && !leaving[i] && req_q[i].va[11:3] == word_i) collides_o = 1'b1;
    end
  end

  always_comb begin
    free_entry = '0;
    ask_entry = '0;
    replay_entry = '0;
    any_ask = 1'b0;
    any_replay = 1'b0;
    stop_o = 1'b0;
    for (int i = int'(N) - 1; i >= 0; i--) begin
      busy[i] = state_q[i] != FREE;
      if (!busy[i]) free_entry = 2'(i);
      if (state_q[i] == ASK) begin
        any_ask = 1'b1;
        ask_entry = 2'(i);
      end
      if (state_q[i] == READY) begin
        any_replay = 1'b1;
        replay_entry = 2'(i);
      end
      if (state_q[i] == HELD || (state_q[i] == ASK && !early_q[i])) stop_o = 1'b1;
    end
  end

  // The flag early_q of an entry in ASK is 0 only for a fault to be looked for again.

  assign empty_o       = (busy & ~leaving) == '0;
  assign full_o        = &busy;
  assign alloc_entry_o = free_entry;
  assign old_o         = (old_q & busy) != '0;

  // ---- towards the miss unit ------------------------------------------------------------------

  core_req_t ask_req;
  assign ask_req     = req_q[ask_entry];
  assign ask_valid_o = any_ask;
  assign ask_o = '{
    va: ask_req.va,
    access: access_of(ask_req.op, ask_req.sub),
    el1: ask_req.el,
    pan: ask_req.pan,
    probe: ask_req.op == OP_AT,
    dry: 1'b0,
    unaligned: is_unaligned(ask_req.va[2:0], size_of(ask_req.op, ask_req.size)),
    skip_l2: skip_l2_q[ask_entry],
    prefetch: 1'b0,
    tag: 3'(ask_entry),
    id: ask_req.id
  };

  // ---- back to stage B ------------------------------------------------------------------------

  assign replay_valid_o   = any_replay;
  assign replay_entry_o   = replay_entry;
  assign replay_req_o     = req_q[replay_entry];
  assign replay_rsp_o     = rsp_q[replay_entry];
  assign replay_from_l2_o = from_l2_q[replay_entry];
  assign replay_walked_o  = walked_q[replay_entry];
  assign replay_old_o     = old_q[replay_entry];

  logic unused;
  assign unused = ^{1'b0, ask_req};

  // ---- state ----------------------------------------------------------------------------------

  logic owner_here;
  assign owner_here = rsp_i.valid && rsp_i.owner < 3'(N);
  assign walked_o = owner_here && !rsp_i.from_l2 && !walked_q[2'(rsp_i.owner)];
  assign refill_o = owner_here && rsp_i.rsp.cacheable && !refilled_q[2'(rsp_i.owner)];
  assign walked_instr_o = req_q[2'(rsp_i.owner)].op == OP_FETCH;

  logic [N-1:0] again;
  always_comb begin
    again = '0;
    for (int unsigned i = 0; i < N; i++) begin
      again[i] = state_q[i] == HELD && (older_q[i] & ~leaving) == '0 && accesses_done_i;
    end
  end
  assign rewalk_o = again != '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < N; i++) begin
        state_q[i] <= FREE;
        req_q[i] <= '0;
        rsp_q[i] <= '0;
        older_q[i] <= '0;
      end
      skip_l2_q <= '0;
      early_q <= '0;
      from_l2_q <= '0;
      walked_q <= '0;
      refilled_q <= '0;
      old_q <= '0;
    end else if (alloc_i || busy != '0) begin
      for (int unsigned i = 0; i < N; i++) begin
        older_q[i] <= older_q[i] & ~leaving;
        if (inv_i && (state_q[i] == READY)) old_q[i] <= 1'b1;
        if (again[i]) begin
          state_q[i] <= ASK;
          early_q[i] <= 1'b0;
          skip_l2_q[i] <= 1'b1;
        end
        if (rsp_i.valid && rsp_i.tags[i]) begin
          if (rsp_i.owner == 3'(i)) begin
            rsp_q[i] <= rsp_i.rsp;
            from_l2_q[i] <= rsp_i.from_l2;
            if (!rsp_i.from_l2) walked_q[i] <= 1'b1;
            if (rsp_i.rsp.cacheable) refilled_q[i] <= 1'b1;
            state_q[i] <= rsp_i.rsp.fault && early_q[i] && !ets0_i ? HELD : READY;
          end else if (rsp_i.rsp.cacheable && !rsp_i.rsp.fault) begin
            rsp_q[i] <= rsp_i.rsp;
            from_l2_q[i] <= 1'b0;
            state_q[i] <= READY;
          end else begin
            // Another access's fault says nothing about this one (WALK-28).
            state_q[i] <= ASK;
            early_q[i] <= 1'b1;
          end
        end
      end
      if (ask_valid_o && ask_ready_i) begin
        state_q[ask_entry] <= ASKED;
        early_q[ask_entry] <= (older_q[ask_entry] & ~leaving) != '0 || !accesses_done_i;
      end
      if (replay_i) begin
        state_q[replay_entry] <= AT_B;
        old_q[replay_entry] <= 1'b0;
      end
      if (miss_i) begin
        state_q[b_entry_i] <= ASK;
        early_q[b_entry_i] <= 1'b1;
        skip_l2_q[b_entry_i] <= miss_skip_l2_i;
      end
      if (finish_i) state_q[b_entry_i] <= FREE;
      if (alloc_i) begin
        state_q[free_entry] <= AT_B;
        req_q[free_entry] <= alloc_req_i;
        older_q[free_entry] <= busy & ~leaving;
        walked_q[free_entry] <= 1'b0;
        refilled_q[free_entry] <= 1'b0;
        from_l2_q[free_entry] <= 1'b0;
        skip_l2_q[free_entry] <= 1'b0;
        old_q[free_entry] <= 1'b0;
      end
    end
  end

endmodule
