// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The table walker of one core: several walks at once, each in a slot. They share one memory port,
// one descriptor decoder and the walk cache. Sets the access flag and the dirty state by
// compare-and-swap.
//
// Start: start_i is taken while free_o is 1. An access to the page of a walk under way joins it.
// End: done_o with the result, taken when done_ready_i. Latency: 1 cycle to set up, then 2 cycles and
// a memory read for each level, then 2 and a compare-and-swap for an update; memory requests hold
// valid and payload until ready. Registers must not change while idle_o is 0 (section 13.5).
//
// cancel_i marks the walks that an invalidation may concern: those of accesses begin again, prefetch
// walks end; a read or swap already on its way is waited for (pending_o) and its answer not used
// (TLBI-07, WALK-30, BBM-09). After CancelLimit times a walk is no longer to be cancelled (shield_o),
// so that invalidations cannot keep an access from its translation.
module walker
  import bus_pkg::*;
  import tlb_pkg::*;
  import vmsa_pkg::*;
  import walk_pkg::*;
#(
    parameter int unsigned Slots = 4,
    parameter int unsigned WalkCacheEntries = 16,
    parameter int unsigned CancelLimit = 3
) (
    input logic clk_i,
    input logic rst_ni,

    input socket_pkg::strap_t strap_i,
    input regs_t              regs_i,
    input logic [15:0]        asid_i,   // current ASID

    input  logic      start_i,
    input  walk_req_t req_i,
    output logic      free_o,

    // The walk of req_i's page and side, if there is one.
    output logic joinable_o,
    input  logic join_i,

    output logic      done_o,
    input  logic      done_ready_i,
    output miss_rsp_t done_rsp_o,
    output walk_req_t done_req_o,

    input  logic        cancel_i,   // an invalidation takes effect in this cycle
    input  invalidate_t inv_i,
    output logic        shield_o,
    output logic        pending_o,
    output logic        idle_o,
    output logic [7:0]  wc_removed_o,

    output logic     mem_valid_o,
    output mem_req_t mem_req_o,
    input  logic     mem_ready_i,
    input  mem_rsp_t mem_rsp_i,

    output walk_obs_pkg::walk_view_t view_o
);

  localparam int unsigned SlotBits = Slots > 1 ? $clog2(Slots) : 1;
  typedef logic [SlotBits-1:0] slot_t;

  typedef enum logic [2:0] {
    IDLE,
    SETUP,   // table base and start level from the registers or the walk cache
    READ,    // a descriptor read waits for the memory port
    WAIT,    // descriptor awaited
    DECODE,
    SWAP,    // a hardware update waits for the memory port
    VERIFY,  // its outcome awaited
    DONE
  } state_e;

  state_e               state_q[Slots];
  walk_req_t            req_q[Slots];
  logic [MISS_TAGS-1:0] waiters_q[Slots];
  level_t               level_q[Slots];
  pa_t                  addr_q[Slots];
  logic [63:0]          desc_q[Slots];
  limits_t              limits_q[Slots];
  walk_rsp_t            rsp_q[Slots];
  logic [Slots-1:0]     stale_q;    // cancelled with a memory access on its way
  logic [1:0]           cancels_q[Slots];
  logic [15:0]          begun_q[Slots];  // cycle of its beginning
  logic [15:0]          now_q;

  // ---- choice of slots ------------------------------------------------------------------------

  logic [Slots-1:0] is_idle, is_setup, is_send, is_done, is_out;
  slot_t idle_slot, setup_slot, send_slot, done_slot, turn_q;
  always_comb begin
    idle_slot = '0;
    setup_slot = '0;
    send_slot = '0;
    done_slot = '0;
    for (int i = int'(Slots) - 1; i >= 0; i--) begin
      is_idle[i]  = state_q[i] == IDLE;
      is_setup[i] = state_q[i] == SETUP;
      is_send[i]  = state_q[i] == READ || state_q[i] == SWAP;
      is_done[i]  = state_q[i] == DONE;
      is_out[i]   = state_q[i] == WAIT || state_q[i] == VERIFY;
      if (is_idle[i]) idle_slot = slot_t'(i);
      if (is_setup[i]) setup_slot = slot_t'(i);
      if (is_done[i]) done_slot = slot_t'(i);
    end
    // Round robin towards memory.
    for (int unsigned i = Slots; i >= 1; i--) begin
      if (is_send[slot_t'((32'(turn_q) + i) % Slots)]) send_slot = slot_t'((32'(turn_q) + i) % Slots);
    end
  end

  logic [3:0] in_use;
  always_comb begin
    in_use = '0;
    for (int unsigned i = 0; i < Slots; i++) in_use += 4'(!is_idle[i]);
  end
  assign free_o = in_use < 4'(strap_i.walkers) && is_idle != '0;
  assign idle_o = &is_idle;

  // ---- joining --------------------------------------------------------------------------------

  range_t req_range;
  assign req_range = tcr_range(regs_i.tcr, req_i.va[55]);

  slot_t join_slot;
  always_comb begin
    joinable_o = 1'b0;
    join_slot = '0;
    for (int unsigned i = 0; i < Slots; i++) begin
      if (!is_idle[i] && !is_done[i] && !stale_q[i] &&
          (req_q[i].access == ACCESS_EXEC) == (req_i.access == ACCESS_EXEC) &&
          req_q[i].va[55] == req_i.va[55] && !req_q[i].dry &&
          ((req_q[i].va[PA_BITS-1:0] ^ req_i.va[PA_BITS-1:0]) &
           ~granule_offset(req_range.granule)) == '0) begin
        joinable_o = 1'b1;
        join_slot = slot_t'(i);
      end
    end
    if (req_i.skip_l2 || req_i.dry || req_i.tag == TAG_BLOCKING) joinable_o = 1'b0;
  end

  // ---- set-up ---------------------------------------------------------------------------------

  logic setting_up, wc_hit, too_big;
  walk_req_t setup_req;
  level_t wc_level, setup_level;
  pa_t wc_table, setup_addr;
  limits_t wc_limits;
  assign setting_up = is_setup != '0 && !cancel_i;
  assign setup_req  = req_q[setup_slot];

  walk_setup u_walk_setup (
      .regs_i,
      .va_i(setup_req.va),
      .cached_i(wc_hit),
      .cached_level_i(wc_level),
      .cached_table_i(wc_table),
      .level_o(setup_level),
      .addr_o(setup_addr),
      .too_big_o(too_big)
  );

  // ---- decode ---------------------------------------------------------------------------------

  logic dec_valid_q;
  slot_t dec_slot_q;
  logic decoding;
  walk_req_t dec_req;
  logic [63:0] dec_desc;
  level_t dec_level;
  limits_t dec_limits;
  assign dec_req    = req_q[dec_slot_q];
  assign dec_desc   = desc_q[dec_slot_q];
  assign dec_level  = level_q[dec_slot_q];
  assign dec_limits = limits_q[dec_slot_q];
  assign decoding   = dec_valid_q && state_q[dec_slot_q] == DECODE;

  range_t range;
  logic [5:0] iasize;
  pa_t beyond;
  logic ha, hd;
  assign range  = tcr_range(regs_i.tcr, dec_req.va[55]);
  assign iasize = 6'(7'd64 - 7'(range.txsz));
  assign beyond = beyond_output_size(regs_i.tcr[34:32]);
  assign ha     = regs_i.tcr[TCR_HA] && strap_i.hafdbs >= 2'd1;
  assign hd     = ha && regs_i.tcr[TCR_HD] && strap_i.hafdbs >= 2'd2;

  logic is_valid, is_table, is_leaf;
  assign is_valid = dec_desc[DESC_VALID];
  assign is_table = is_valid && dec_desc[DESC_TABLE] && dec_level != 2'd3;
  assign is_leaf  = is_valid && (dec_level == 2'd3 ? dec_desc[DESC_TABLE] :
                                 !dec_desc[DESC_TABLE] && block_allowed(range.granule, dec_level));

  pa_t next_table;
  limits_t next_limits;
  assign next_table = dec_desc[PA_BITS-1:0] & ~granule_offset(range.granule);
  always_comb begin
    next_limits = dec_limits;
    if (!range.hpd) begin  // VMSA-23
      next_limits.ap  = dec_limits.ap | dec_desc[62:61];
      next_limits.uxn = dec_limits.uxn || dec_desc[DESC_UXNTABLE];
      next_limits.pxn = dec_limits.pxn || dec_desc[DESC_PXNTABLE];
    end
  end

  logic leaf_update;
  logic [63:0] leaf_update_desc;
  walk_rsp_t leaf_rsp;

  leaf_decode u_leaf_decode (
      .desc_i(dec_desc),
      .granule_i(range.granule),
      .level_i(dec_level),
      .iasize_i(iasize),
      .limits_i(dec_limits),
      .mair_i(regs_i.mair),
      .ips_i(regs_i.tcr[34:32]),
      .ha_i(ha),
      .hd_i(hd),
      .contiguous_i(strap_i.contiguous),
      .has_nt_i(strap_i.bbml != 2'd0),
      .wxn_i(regs_i.sctlr[SCTLR_WXN]),
      .epan_i(regs_i.sctlr[SCTLR_EPAN]),
      .access_i(dec_req.access),
      .el1_i(dec_req.el1),
      .pan_i(dec_req.pan),
      .probe_i(dec_req.probe),
      .dry_i(dec_req.dry),
      .unaligned_i(dec_req.unaligned),
      .update_o(leaf_update),
      .update_desc_o(leaf_update_desc),
      .rsp_o(leaf_rsp)
  );

  // The answer where a walk ends with a fault that leaves nothing to cache (TLB-20).
  function automatic walk_rsp_t fault_rsp(fsc_t fsc, access_e access);
    walk_rsp_t r;
    r = '0;
    r.fault = 1'b1;
    r.fsc = fsc;
    r.wnr = access == ACCESS_WRITE;
    return r;
  endfunction

  // ---- walk cache -----------------------------------------------------------------------------

  logic wc_fill;
  key_t wc_key, wc_mask;
  logic [7:0] wc_victim;
  assign wc_fill = decoding && is_table && (next_table & beyond) == '0 && strap_i.walk_caches &&
                   !cancel_i;
  always_comb begin
    wc_mask = '{
      live: 1'b1,
      asid: '1,
      upper: 1'b1,
      vpn: ~vpn_t'(ones_below(level_lsb(range.granule, dec_level)) >> 12)
    };
    wc_key = '{live: 1'b1, asid: asid_i, upper: dec_req.va[55], vpn: dec_req.va[PA_BITS-1:12]};
    wc_key &= wc_mask;
  end

  walk_cache #(
      .Entries(WalkCacheEntries)
  ) u_walk_cache (
      .clk_i,
      .rst_ni,
      .lookup_valid_i(setting_up && strap_i.walk_caches),
      .lookup_key_i('{live: 1'b1, asid: asid_i, upper: setup_req.va[55],
                      vpn: setup_req.va[PA_BITS-1:12]}),
      .hit_o(wc_hit),
      .level_o(wc_level),
      .table_o(wc_table),
      .limits_o(wc_limits),
      .fill_valid_i(wc_fill),
      .fill_key_i(wc_key),
      .fill_mask_i(wc_mask),
      .fill_level_i(dec_level),
      .fill_table_i(next_table),
      .fill_limits_i(next_limits),
      .inv_valid_i(cancel_i),
      .inv_i,
      .victim_o(wc_victim),
      .removed_o(wc_removed_o)
  );

  // ---- memory ---------------------------------------------------------------------------------

  logic big_endian;
  logic [63:0] from_memory;
  assign big_endian  = regs_i.sctlr[SCTLR_EE];  // WALK-02
  assign from_memory = big_endian ? byte_swap(mem_rsp_i.data) : mem_rsp_i.data;

  logic out_valid_q, send;
  mem_req_t out_q;
  logic [63:0] swap_desc_q[Slots];
  assign send = is_send != '0 && (!out_valid_q || mem_ready_i) && !cancel_i;

  assign mem_valid_o = out_valid_q;
  assign mem_req_o   = out_q;

  slot_t in_slot;
  assign in_slot = slot_t'(mem_rsp_i.tag);

  // ---- cancellation ---------------------------------------------------------------------------

  // By half of the VA space for the VA forms, since a table or block may span any part of it; by
  // ASID for ASIDE1.
  logic [Slots-1:0] concerned, cancelled;
  always_comb begin
    concerned = '0;
    cancelled = '0;
    shield_o = 1'b0;
    for (int unsigned i = 0; i < Slots; i++) begin
      if (cancel_i) begin
        concerned[i] = !is_idle[i] &&
                       (inv_i.every || (inv_i.by_va ? req_q[i].va[55] == inv_i.upper
                                                    : inv_i.asid == asid_i));
      end
      cancelled[i] = concerned[i] && !is_setup[i] && !stale_q[i];
      if (!is_idle[i] && cancels_q[i] == 2'(CancelLimit) && !req_q[i].prefetch) shield_o = 1'b1;
    end
  end
  assign pending_o = stale_q != '0;

  // ---- state ----------------------------------------------------------------------------------

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Slots; i++) begin
        state_q[i] <= IDLE;
        req_q[i] <= '0;
        waiters_q[i] <= '0;
        level_q[i] <= '0;
        addr_q[i] <= '0;
        desc_q[i] <= '0;
        swap_desc_q[i] <= '0;
        limits_q[i] <= '0;
        rsp_q[i] <= '0;
        cancels_q[i] <= '0;
        begun_q[i] <= '0;
      end
      stale_q <= '0;
      turn_q <= '0;
      now_q <= '0;
      dec_valid_q <= 1'b0;
      dec_slot_q <= '0;
      out_valid_q <= 1'b0;
      out_q <= '0;
    end else begin
      now_q <= now_q + 16'd1;
      if (!idle_o || start_i) begin
        dec_valid_q <= mem_rsp_i.valid;
        dec_slot_q <= in_slot;

        if (start_i) begin
          state_q[idle_slot] <= SETUP;
          req_q[idle_slot] <= req_i;
          waiters_q[idle_slot] <= req_i.prefetch ? '0 : MISS_TAGS'(1) << req_i.tag;
          cancels_q[idle_slot] <= '0;
        end
        if (join_i) waiters_q[join_slot][req_i.tag] <= 1'b1;

        if (setting_up) begin
          level_q[setup_slot] <= setup_level;
          addr_q[setup_slot] <= setup_addr;
          limits_q[setup_slot] <= wc_hit ? wc_limits : '0;
          begun_q[setup_slot] <= now_q;
          rsp_q[setup_slot] <= fault_rsp(FSC_ADDRESS_SIZE, setup_req.access);
          state_q[setup_slot] <= too_big ? DONE : READ;
        end

        if (mem_ready_i) out_valid_q <= 1'b0;
        if (send) begin
          turn_q <= send_slot;
          out_valid_q <= 1'b1;
          out_q.op <= state_q[send_slot] == SWAP ? MEM_CAS : MEM_READ;
          out_q.update <= state_q[send_slot] == SWAP;
          out_q.addr <= addr_q[send_slot];
          out_q.strb <= '1;
          out_q.data <= big_endian ? byte_swap(swap_desc_q[send_slot]) : swap_desc_q[send_slot];
          out_q.compare <= big_endian ? byte_swap(desc_q[send_slot]) : desc_q[send_slot];
          out_q.tag <= TAG_BITS'(send_slot);
          state_q[send_slot] <= state_q[send_slot] == SWAP ? VERIFY : WAIT;
        end

        if (mem_rsp_i.valid) begin
          if (stale_q[in_slot]) begin
            stale_q[in_slot] <= 1'b0;
            state_q[in_slot] <= req_q[in_slot].prefetch && waiters_q[in_slot] == '0 ? IDLE : SETUP;
          end else if (mem_rsp_i.error) begin  // WALK-10, WALK-12
            rsp_q[in_slot] <= fault_rsp(fsc_at(FSC_EXTERNAL_WALK, level_q[in_slot]),
                                        req_q[in_slot].access);
            state_q[in_slot] <= DONE;
          end else if (state_q[in_slot] == VERIFY && from_memory == desc_q[in_slot]) begin
            state_q[in_slot] <= DONE;
          end else begin
            // A descriptor, or after a swap that failed what memory holds now (HAF-03).
            desc_q[in_slot] <= from_memory;
            state_q[in_slot] <= DECODE;
          end
        end

        if (decoding) begin
          if (is_table) begin
            level_q[dec_slot_q] <= dec_level + 2'd1;
            addr_q[dec_slot_q] <= next_table | descriptor_offset(range.granule, dec_level + 2'd1,
                                                                 dec_req.va[PA_BITS-1:0]);
            limits_q[dec_slot_q] <= next_limits;
            state_q[dec_slot_q] <= READ;
            if ((next_table & beyond) != '0) begin  // VMSA-42
              level_q[dec_slot_q] <= dec_level;
              rsp_q[dec_slot_q] <= fault_rsp(fsc_at(FSC_ADDRESS_SIZE, dec_level), dec_req.access);
              state_q[dec_slot_q] <= DONE;
            end
          end else if (is_leaf) begin
            rsp_q[dec_slot_q] <= leaf_rsp;
            swap_desc_q[dec_slot_q] <= leaf_update_desc;
            state_q[dec_slot_q] <= leaf_update ? SWAP : DONE;
          end else begin  // WALK-03
            rsp_q[dec_slot_q] <= fault_rsp(fsc_at(FSC_TRANSLATION, dec_level), dec_req.access);
            state_q[dec_slot_q] <= DONE;
          end
        end

        if (done_o && done_ready_i) state_q[done_slot] <= IDLE;

        if (cancel_i) begin
          for (int unsigned i = 0; i < Slots; i++) begin
            if (concerned[i]) begin
              if (cancelled[i] && cancels_q[i] != 2'(CancelLimit)) cancels_q[i] <= cancels_q[i] + 2'd1;
              if (is_out[i] && !(mem_rsp_i.valid && in_slot == slot_t'(i))) begin
                stale_q[i] <= 1'b1;
              end else begin
                state_q[i] <= req_q[i].prefetch && waiters_q[i] == '0 ? IDLE : SETUP;
              end
            end
          end
        end
      end
    end
  end

  // ---- results --------------------------------------------------------------------------------

  assign done_o     = is_done != '0 && !cancel_i;
  assign done_req_o = req_q[done_slot];
  assign done_rsp_o = '{
    valid: done_o,
    tags: waiters_q[done_slot],
    owner: req_q[done_slot].prefetch ? 3'd7 : req_q[done_slot].tag,
    from_l2: 1'b0,
    rsp: rsp_q[done_slot]
  };

  // ---- what is seen from outside --------------------------------------------------------------

  always_comb begin
    // Only what happens is filled in, so that nothing is worked out in a cycle without events.
    view_o = '0;
    view_o.begins = setting_up;
    view_o.steps  = mem_rsp_i.valid;
    view_o.ends   = done_o && done_ready_i;
    view_o.wc_fill = wc_fill;
    if (setting_up) begin
      view_o.begin_slot  = 2'(setup_slot);
      view_o.begin_req   = setup_req;
      view_o.begin_level = setup_level;
      view_o.begin_addr  = setup_addr;
      view_o.cached      = wc_hit;
      view_o.cached_level = wc_level;
    end
    if (mem_rsp_i.valid) begin
      view_o.step_slot   = 2'(in_slot);
      view_o.step_req    = req_q[in_slot];
      view_o.step_swap   = state_q[in_slot] == VERIFY;
      view_o.step_error  = mem_rsp_i.error;
      view_o.step_stale  = stale_q[in_slot];
      view_o.step_level  = level_q[in_slot];
      view_o.step_addr   = addr_q[in_slot];
      view_o.step_value  = from_memory;
      view_o.step_swapped = state_q[in_slot] == VERIFY && !mem_rsp_i.error &&
                            from_memory == desc_q[in_slot];
      view_o.step_af     = !desc_q[in_slot][DESC_AF];
      view_o.step_dirty  = desc_q[in_slot][DESC_AP2] && !swap_desc_q[in_slot][DESC_AP2];
    end
    if (view_o.ends) begin
      view_o.end_slot   = 2'(done_slot);
      view_o.end_level  = level_q[done_slot];
      view_o.end_cycles = now_q - begun_q[done_slot];
    end
    if (wc_fill) begin
      view_o.wc_req   = dec_req;
      view_o.wc_key   = wc_key;
      view_o.wc_mask  = wc_mask;
      view_o.wc_level = dec_level;
      view_o.wc_table = next_table;
      view_o.wc_index = wc_victim;
    end
    view_o.cancelled   = {{(4 - Slots){1'b0}}, cancelled};
    if (!idle_o) for (int unsigned i = 0; i < Slots; i++) begin
      if (cancelled[i] && req_q[i].access == ACCESS_EXEC) view_o.cancelled_instr += 3'd1;
      if (cancelled[i] && req_q[i].access != ACCESS_EXEC) view_o.cancelled_data += 3'd1;
      if (!is_idle[i] && !is_setup[i] && !stale_q[i]) begin
        if (req_q[i].access == ACCESS_EXEC) view_o.active_instr += 3'd1;
        else view_o.active_data += 3'd1;
      end
    end
  end

  logic unused;
  assign unused = ^{1'b0, range.epd, range.tbi, range.tbid, range.e0pd, mem_rsp_i.tag, strap_i, regs_i, req_range};

endmodule
