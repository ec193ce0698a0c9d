// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Carries out the operations of stage B that are no accesses: TLBI, DSB, ISB and register writes; and
// joins local invalidations with those that other cores broadcast.
//
//   TLBI   local: done in the cycle in which it takes effect. Broadcast: done when queued for the
//          invalidation network.
//   DSB    done when every older access is performed; one for all access types also waits for what
//          invalidations left under way, and, unless Non-shareable, if an INV was sent since the last
//          SYNC, for the answer of every core to a SYNC (TLBI-20, DVM-14).
//   MSR    done when no walk and no fill is under way, so that each uses one context (section 13.5).
//   ISB    done at once: older accesses have their translations already (ORD-10).
module operation_unit
  import dvm_pkg::dvm_msg_t;
  import socket_pkg::*;
  import tlb_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic asid8_i,

    input  logic        operation_i,
    input  core_op_e    op_i,
    input  logic [5:0]  sub_i,
    input  logic        el1_i,
    input  logic [63:0] operand_i,
    input  logic        accesses_done_i,
    output logic        done_o,
    output logic        undef_o,

    input  logic msr_known_i,
    output logic msr_o,
    output logic quiesce_o,   // a register write waits for walks to end
    input  logic walks_idle_i,

    // Nothing translated before an invalidation is under way.
    input  logic clear_i,

    // Invalidations of this core's TLBs.
    output logic        inv_valid_o,
    output invalidate_t inv_o,
    output logic        inv_local_o,
    input  logic        inv_ready_i,
    input  logic        dvm_inv_valid_i,
    input  invalidate_t dvm_inv_i,
    output logic        dvm_inv_ready_o,

    output logic        send_valid_o,
    output logic        send_sync_o,
    output invalidate_t send_inv_o,
    input  logic        send_ready_i,
    input  logic        sync_done_i
);

  logic known, nothing, broadcast, effective;
  invalidate_t inv;

  tlbi_decode u_tlbi_decode (
      .sub_i,
      .operand_i,
      .asid8_i,
      .known_o(known),
      .nothing_o(nothing),
      .broadcast_o(broadcast),
      .inv_o(inv)
  );

  assign effective = known && el1_i && !nothing;  // TLBI-14, TLBI-09

  logic local_wanted;
  assign local_wanted    = operation_i && op_i == OP_TLBI && effective && !broadcast;
  assign inv_valid_o     = (local_wanted || dvm_inv_valid_i) && inv_ready_i;
  assign inv_local_o     = local_wanted;
  assign inv_o           = local_wanted ? inv : dvm_inv_i;
  assign dvm_inv_ready_o = inv_ready_i && !local_wanted;

  // ---- DSB ------------------------------------------------------------------------------------

  typedef enum logic [1:0] {
    NO_SYNC,
    SENT,
    ANSWERED
  } sync_e;

  sync_e sync_q;
  logic owes_sync_q;  // an INV was sent since the last SYNC
  logic full, needs_sync, dsb_ready;
  assign full       = sub_i[1:0] == DSB_TYPE_FULL || sub_i[1:0] == 2'd0;
  assign needs_sync = full && sub_i[3:2] != DSB_DOMAIN_NSH && owes_sync_q;
  assign dsb_ready  = accesses_done_i && (!full || clear_i);

  assign send_sync_o  = op_i == OP_DSB;
  assign send_inv_o   = inv;
  assign send_valid_o = operation_i && (op_i == OP_TLBI ? effective && broadcast :
                                        op_i == OP_DSB && dsb_ready && needs_sync &&
                                        sync_q == NO_SYNC);

  always_comb begin
    done_o = 1'b1;
    undef_o = 1'b0;
    unique case (op_i)
      OP_TLBI: begin
        undef_o = !known;
        if (effective) done_o = broadcast ? send_ready_i : inv_ready_i;
      end
      OP_DSB: done_o = dsb_ready && (!needs_sync || sync_q == ANSWERED);
      OP_MSR: begin
        undef_o = !msr_known_i;
        done_o = !msr_known_i || walks_idle_i;
      end
      OP_ISB: ;
      default: undef_o = 1'b1;
    endcase
  end

  assign quiesce_o = operation_i && op_i == OP_MSR;
  assign msr_o     = operation_i && op_i == OP_MSR && msr_known_i && walks_idle_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sync_q <= NO_SYNC;
      owes_sync_q <= 1'b0;
    end else begin
      if (send_valid_o && send_ready_i) begin
        if (send_sync_o) sync_q <= SENT;
        else owes_sync_q <= 1'b1;
      end
      if (sync_done_i) sync_q <= ANSWERED;
      if (operation_i && op_i == OP_DSB && done_o && needs_sync) begin
        sync_q <= NO_SYNC;
        owes_sync_q <= 1'b0;
      end
    end
  end

  logic unused;
  assign unused = ^{1'b0, sub_i};

endmodule
