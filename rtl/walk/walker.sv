// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The table walker of one core: reads descriptors level by level, and sets the access flag and the
// dirty state by compare-and-swap.
//
// One walk at a time. `start_i` is taken only while `busy_o` is 0; `done_o` is 1 for one cycle, with
// the result. Registers are sampled at the start and used for the whole walk (section 13.5).
// Latency: 2 cycles, plus 1 and a memory read for each level, plus 1 and a compare-and-swap for an
// update. Memory requests hold valid and payload until ready.
module walker
  import bus_pkg::*;
  import vmsa_pkg::*;
  import walk_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic [1:0] hafdbs_i,
    input logic       contiguous_i,

    input  logic      start_i,
    input  walk_req_t req_i,
    input  regs_t     regs_i,
    output logic      busy_o,
    output logic      done_o,
    output walk_rsp_t rsp_o,

    output logic     mem_valid_o,
    output mem_req_t mem_req_o,
    input  logic     mem_ready_i,
    input  mem_rsp_t mem_rsp_i,

    output socket_pkg::walk_event_e obs_kind_o,
    output logic                    obs_valid_o,
    output walk_req_t               obs_req_o,
    output level_t                  obs_level_o,
    output pa_t                     obs_addr_o,
    output logic [63:0]             obs_value_o
);

  typedef enum logic [2:0] {
    IDLE,
    SETUP,   // table base and start level from the sampled registers
    READ,    // descriptor read offered to memory
    WAIT,    // descriptor awaited
    DECODE,
    SWAP,    // hardware update offered to memory
    VERIFY,  // its outcome awaited
    DONE
  } state_e;

  state_e state_q, state_d;
  walk_req_t req_q;
  regs_t regs_q;
  level_t level_q, level_d;
  pa_t addr_q, addr_d;
  logic [63:0] desc_q, desc_d;
  limits_t limits_q, limits_d;
  walk_rsp_t rsp_q, rsp_d;

  // ---- context of the walk --------------------------------------------------------------------

  range_t range;
  logic [5:0] iasize;
  logic [2:0] ips;
  pa_t too_big;
  logic ha, hd;
  assign range   = tcr_range(regs_q.tcr, req_q.va[55]);
  assign iasize  = 6'(7'd64 - 7'(range.txsz));
  assign ips     = regs_q.tcr[34:32];
  assign too_big = beyond_output_size(ips);
  assign ha      = regs_q.tcr[TCR_HA] && hafdbs_i >= 2'd1;
  assign hd      = ha && regs_q.tcr[TCR_HD] && hafdbs_i >= 2'd2;

  // VMSA-12: at the start level only bits below IASIZE index the table.
  pa_t va_in_range;
  assign va_in_range = req_q.va[PA_BITS-1:0] & ones_below(iasize);

  // The base is aligned to the size of the (partial) start table (section 1.1).
  level_t first_level;
  pa_t base;
  assign first_level = start_level(range.granule, iasize);
  assign base = pa_t'({req_q.va[55] ? regs_q.ttbr1[47:1] : regs_q.ttbr0[47:1], 1'b0}) &
                ~ones_below(iasize - level_lsb(range.granule, first_level) + 6'd3);

  logic unused;
  assign unused = ^{1'b0, range.epd, range.tbi, range.tbid, range.e0pd, mem_rsp_i.tag};

  // ---- decode ---------------------------------------------------------------------------------

  logic is_valid, is_table, is_leaf;
  assign is_valid = desc_q[DESC_VALID];
  assign is_table = is_valid && desc_q[DESC_TABLE] && level_q != 2'd3;
  assign is_leaf  = is_valid && (level_q == 2'd3 ? desc_q[DESC_TABLE] :
                                 !desc_q[DESC_TABLE] && block_allowed(range.granule, level_q));

  pa_t next_table;
  assign next_table = desc_q[PA_BITS-1:0] & ~granule_offset(range.granule);

  logic leaf_update;
  logic [63:0] leaf_update_desc;
  walk_rsp_t leaf_rsp;

  leaf_decode u_leaf_decode (
      .desc_i(desc_q),
      .granule_i(range.granule),
      .level_i(level_q),
      .iasize_i(iasize),
      .limits_i(limits_q),
      .mair_i(regs_q.mair),
      .ips_i(ips),
      .ha_i(ha),
      .hd_i(hd),
      .contiguous_i(contiguous_i),
      .wxn_i(regs_q.sctlr[SCTLR_WXN]),
      .epan_i(regs_q.sctlr[SCTLR_EPAN]),
      .access_i(req_q.access),
      .el1_i(req_q.el1),
      .pan_i(req_q.pan),
      .probe_i(req_q.probe),
      .dry_i(req_q.dry),
      .unaligned_i(req_q.unaligned),
      .update_o(leaf_update),
      .update_desc_o(leaf_update_desc),
      .rsp_o(leaf_rsp)
  );

  // ---- next state -----------------------------------------------------------------------------

  logic big_endian;
  logic [63:0] from_memory;
  assign big_endian  = regs_q.sctlr[SCTLR_EE];  // WALK-02
  assign from_memory = big_endian ? byte_swap(mem_rsp_i.data) : mem_rsp_i.data;

  // The answer where a walk ends with a fault that leaves nothing to cache (TLB-20).
  function automatic walk_rsp_t fault_rsp(fsc_t fsc, logic is_write);
    walk_rsp_t r;
    r = '0;
    r.fault = 1'b1;
    r.fsc = fsc;
    r.wnr = is_write;
    return r;
  endfunction

  logic wnr;
  assign wnr = req_q.access == ACCESS_WRITE;

  always_comb begin
    state_d  = state_q;
    level_d  = level_q;
    addr_d   = addr_q;
    desc_d   = desc_q;
    limits_d = limits_q;
    rsp_d    = rsp_q;
    unique case (state_q)
      IDLE: if (start_i) state_d = SETUP;

      SETUP: begin
        level_d  = first_level;
        addr_d   = base | descriptor_offset(range.granule, first_level, va_in_range);
        limits_d = '0;
        if ((base & too_big) != '0) begin
          rsp_d   = fault_rsp(FSC_ADDRESS_SIZE, wnr);
          state_d = DONE;
        end else begin
          state_d = READ;
        end
      end

      READ: if (mem_ready_i) state_d = WAIT;

      WAIT: begin
        if (mem_rsp_i.valid) begin
          desc_d  = from_memory;
          state_d = DECODE;
          if (mem_rsp_i.error) begin
            rsp_d   = fault_rsp(fsc_at(FSC_EXTERNAL_WALK, level_q), wnr);  // WALK-10
            state_d = DONE;
          end
        end
      end

      DECODE: begin
        if (is_table) begin
          if ((next_table & too_big) != '0) begin
            rsp_d   = fault_rsp(fsc_at(FSC_ADDRESS_SIZE, level_q), wnr);  // VMSA-42
            state_d = DONE;
          end else begin
            if (!range.hpd) begin  // VMSA-23
              limits_d.ap  = limits_q.ap | desc_q[62:61];
              limits_d.uxn = limits_q.uxn || desc_q[DESC_UXNTABLE];
              limits_d.pxn = limits_q.pxn || desc_q[DESC_PXNTABLE];
            end
            level_d = level_q + 2'd1;
            addr_d  = next_table | descriptor_offset(range.granule, level_q + 2'd1,
                                                     req_q.va[PA_BITS-1:0]);
            state_d = READ;
          end
        end else if (is_leaf) begin
          rsp_d   = leaf_rsp;
          state_d = leaf_update ? SWAP : DONE;
        end else begin
          rsp_d   = fault_rsp(fsc_at(FSC_TRANSLATION, level_q), wnr);  // WALK-03
          state_d = DONE;
        end
      end

      SWAP: if (mem_ready_i) state_d = VERIFY;

      VERIFY: begin
        if (mem_rsp_i.valid) begin
          if (mem_rsp_i.error) begin
            rsp_d   = fault_rsp(fsc_at(FSC_EXTERNAL_WALK, level_q), wnr);  // WALK-12
            state_d = DONE;
          end else if (from_memory == desc_q) begin
            state_d = DONE;
          end else begin
            desc_d  = from_memory;  // HAF-03: what memory holds now is decoded afresh
            state_d = DECODE;
          end
        end
      end

      DONE: state_d = IDLE;

      default: state_d = IDLE;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q  <= IDLE;
      level_q  <= '0;
      addr_q   <= '0;
      desc_q   <= '0;
      limits_q <= '0;
      rsp_q    <= '0;
      req_q    <= '0;
      regs_q   <= '0;
    end else if (state_q != IDLE || start_i) begin
      state_q  <= state_d;
      level_q  <= level_d;
      addr_q   <= addr_d;
      desc_q   <= desc_d;
      limits_q <= limits_d;
      rsp_q    <= rsp_d;
      if (state_q == IDLE) begin
        req_q  <= req_i;
        regs_q <= regs_i;
      end
    end
  end

  // ---- outputs --------------------------------------------------------------------------------

  assign busy_o = state_q != IDLE;
  assign done_o = state_q == DONE;
  assign rsp_o  = rsp_q;

  assign mem_valid_o = state_q == READ || state_q == SWAP;
  always_comb begin
    mem_req_o.op      = state_q == SWAP ? MEM_CAS : MEM_READ;
    mem_req_o.update  = state_q == SWAP;
    mem_req_o.addr    = addr_q;
    mem_req_o.strb    = '1;
    mem_req_o.data    = big_endian ? byte_swap(leaf_update_desc) : leaf_update_desc;
    mem_req_o.compare = big_endian ? byte_swap(desc_q) : desc_q;
    mem_req_o.tag     = '0;
  end

  // Observation: begin, every descriptor read, every answered swap, end.
  always_comb begin
    obs_valid_o = 1'b0;
    obs_kind_o  = socket_pkg::WALK_STEP;
    obs_value_o = from_memory;
    unique case (state_q)
      SETUP: begin
        obs_valid_o = 1'b1;
        obs_kind_o  = socket_pkg::WALK_BEGIN;
        obs_value_o = '0;
      end
      WAIT: obs_valid_o = mem_rsp_i.valid && !mem_rsp_i.error;
      VERIFY: begin
        obs_valid_o = mem_rsp_i.valid && !mem_rsp_i.error;
        obs_kind_o  = socket_pkg::WALK_SWAP;
      end
      DONE: begin
        obs_valid_o = 1'b1;
        obs_kind_o  = socket_pkg::WALK_END;
        obs_value_o = '0;
      end
      default: ;
    endcase
  end
  assign obs_req_o   = req_q;
  assign obs_level_o = level_q;
  assign obs_addr_o  = addr_q;

endmodule
