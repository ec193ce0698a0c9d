// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// VMSAv8-64 stage 1 formats and geometry: registers, descriptors, fault codes, spans of entries.
//
// Pure functions only. Page spans are computed here, by name, and nowhere else.
// Section numbers in the comments are those of docs/spec/vmsa.md.
package vmsa_pkg;

  // The functions take whole registers and descriptors, of which each reads some fields; and a
  // format is listed in full whether or not each of its bits has a reader.
  /* verilator lint_off UNUSEDSIGNAL */
  /* verilator lint_off UNUSEDPARAM */

  parameter int unsigned PA_BITS = 48;   // PAMAX
  parameter int unsigned VPN_BITS = 36;  // VA[47:12]

  typedef logic [PA_BITS-1:0] pa_t;
  typedef logic [VPN_BITS-1:0] vpn_t;
  typedef logic [1:0] level_t;

  typedef enum logic [1:0] {
    GRANULE_4K  = 2'd0,
    GRANULE_16K = 2'd1,
    GRANULE_64K = 2'd2
  } granule_e;

  typedef enum logic [1:0] {
    ACCESS_READ  = 2'd0,
    ACCESS_WRITE = 2'd1,
    ACCESS_EXEC  = 2'd2,
    ACCESS_RMW   = 2'd3   // atomic read-modify-write: needs both permissions
  } access_e;

  // ---- registers (section 1) ------------------------------------------------------------------

  typedef struct packed {
    logic [63:0] ttbr0;
    logic [63:0] ttbr1;
    logic [63:0] tcr;
    logic [63:0] mair;
    logic [63:0] sctlr;
  } regs_t;

  parameter int unsigned SCTLR_M = 0;
  parameter int unsigned SCTLR_A = 1;
  parameter int unsigned SCTLR_C = 2;
  parameter int unsigned SCTLR_I = 12;
  parameter int unsigned SCTLR_WXN = 19;
  parameter int unsigned SCTLR_EE = 25;
  parameter int unsigned SCTLR_EPAN = 57;

  parameter int unsigned TCR_A1 = 22;
  parameter int unsigned TCR_AS = 36;
  parameter int unsigned TCR_HA = 39;
  parameter int unsigned TCR_HD = 40;

  // What TCR_EL1 says about one half of the VA space.
  typedef struct packed {
    granule_e   granule;
    logic [5:0] txsz;
    logic       epd;
    logic       tbi;
    logic       tbid;
    logic       hpd;
    logic       e0pd;
  } range_t;

  // TG0 and TG1 use different codes; the reserved one selects 4K (section 16).
  function automatic granule_e tg0_granule(logic [1:0] tg);
    unique case (tg)
      2'b01:   return GRANULE_64K;
      2'b10:   return GRANULE_16K;
      default: return GRANULE_4K;
    endcase
  endfunction

  function automatic granule_e tg1_granule(logic [1:0] tg);
    unique case (tg)
      2'b11:   return GRANULE_64K;
      2'b01:   return GRANULE_16K;
      default: return GRANULE_4K;
    endcase
  endfunction

  function automatic range_t tcr_range(logic [63:0] tcr, logic upper);
    range_t r;
    r.granule = upper ? tg1_granule(tcr[31:30]) : tg0_granule(tcr[15:14]);
    r.txsz    = upper ? tcr[21:16] : tcr[5:0];
    r.epd     = upper ? tcr[23] : tcr[7];
    r.tbi     = upper ? tcr[38] : tcr[37];
    r.tbid    = upper ? tcr[52] : tcr[51];
    r.hpd     = upper ? tcr[42] : tcr[41];
    r.e0pd    = upper ? tcr[56] : tcr[55];
    return r;
  endfunction

  // VMSA-10: with small translation tables TxSZ runs from 16 to 48, to 47 with 64K granules.
  function automatic logic txsz_legal(range_t r);
    return r.txsz >= 6'd16 && r.txsz <= (r.granule == GRANULE_64K ? 6'd47 : 6'd48);
  endfunction

  // VMSA-11.
  function automatic logic [15:0] current_asid(regs_t regs, logic asid8);
    logic [15:0] asid;
    asid = regs.tcr[TCR_A1] ? regs.ttbr1[63:48] : regs.ttbr0[63:48];
    return (asid8 || !regs.tcr[TCR_AS]) ? {8'd0, asid[7:0]} : asid;
  endfunction

  // Address bits at or above the effective output size (VMSA-45); any of them set is a fault.
  function automatic pa_t beyond_output_size(logic [2:0] ips);
    unique case (ips)
      3'd0:    return ~pa_t'(64'h0000_0000_ffff_ffff);
      3'd1:    return ~pa_t'(64'h0000_000f_ffff_ffff);
      3'd2:    return ~pa_t'(64'h0000_00ff_ffff_ffff);
      3'd3:    return ~pa_t'(64'h0000_03ff_ffff_ffff);
      3'd4:    return ~pa_t'(64'h0000_0fff_ffff_ffff);
      default: return '0;
    endcase
  endfunction

  // ---- geometry (sections 2 and 4) ------------------------------------------------------------

  // Lowest VA bit that a level translates.
  function automatic logic [5:0] level_lsb(granule_e granule, level_t level);
    unique case (granule)
      GRANULE_16K: begin
        unique case (level)
          2'd0:    return 6'd47;
          2'd1:    return 6'd36;
          2'd2:    return 6'd25;
          default: return 6'd14;
        endcase
      end
      GRANULE_64K: begin
        unique case (level)
          2'd0, 2'd1: return 6'd42;
          2'd2:       return 6'd29;
          default:    return 6'd16;
        endcase
      end
      default: begin
        unique case (level)
          2'd0:    return 6'd39;
          2'd1:    return 6'd30;
          2'd2:    return 6'd21;
          default: return 6'd12;
        endcase
      end
    endcase
  endfunction

  function automatic level_t start_level(granule_e granule, logic [5:0] iasize);
    unique case (granule)
      GRANULE_16K: return iasize >= 6'd48 ? 2'd0 : iasize >= 6'd37 ? 2'd1 :
                          iasize >= 6'd26 ? 2'd2 : 2'd3;
      GRANULE_64K: return iasize >= 6'd43 ? 2'd1 : iasize >= 6'd30 ? 2'd2 : 2'd3;
      default:     return iasize >= 6'd40 ? 2'd0 : iasize >= 6'd31 ? 2'd1 :
                          iasize >= 6'd22 ? 2'd2 : 2'd3;
    endcase
  endfunction

  // Ones below bit `n`.
  function automatic pa_t ones_below(logic [5:0] n);
    return ~({PA_BITS{1'b1}} << n);
  endfunction

  // Byte offset of the descriptor for `va` in its table.
  function automatic pa_t descriptor_offset(granule_e granule, level_t level, pa_t va);
    pa_t index;
    index = va >> level_lsb(granule, level);
    unique case (granule)
      GRANULE_16K: return (index & pa_t'(11'h7ff)) << 3;
      GRANULE_64K: return (index & pa_t'(13'h1fff)) << 3;
      default:     return (index & pa_t'(9'h1ff)) << 3;
    endcase
  endfunction

  // Bits of a next-table address that lie inside the granule (WALK-07).
  function automatic pa_t granule_offset(granule_e granule);
    unique case (granule)
      GRANULE_16K: return pa_t'(14'h3fff);
      GRANULE_64K: return pa_t'(16'hffff);
      default:     return pa_t'(12'hfff);
    endcase
  endfunction

  // Section 3.1: 4K L1 and L2, 16K L2, 64K L2 (PAMAX is below 52).
  function automatic logic block_allowed(granule_e granule, level_t level);
    return level == 2'd2 || (granule == GRANULE_4K && level == 2'd1);
  endfunction

  // log2 of the descriptors in a contiguous run; 0 where the bit is ignored (TLB-04).
  function automatic logic [5:0] run_bits(granule_e granule, level_t level);
    unique case (granule)
      GRANULE_16K: return level == 2'd3 ? 6'd7 : level == 2'd2 ? 6'd5 : 6'd0;
      GRANULE_64K: return level >= 2'd2 ? 6'd5 : 6'd0;
      default:     return level == 2'd0 ? 6'd0 : 6'd4;
    endcase
  endfunction

  // ---- descriptors (section 3) ----------------------------------------------------------------

  parameter int unsigned DESC_VALID = 0;
  parameter int unsigned DESC_TABLE = 1;  // table below level 3, page at level 3
  parameter int unsigned DESC_AP1 = 6;
  parameter int unsigned DESC_AP2 = 7;
  parameter int unsigned DESC_AF = 10;
  parameter int unsigned DESC_NG = 11;
  parameter int unsigned DESC_NT = 16;
  parameter int unsigned DESC_DBM = 51;
  parameter int unsigned DESC_CONTIGUOUS = 52;
  parameter int unsigned DESC_PXN = 53;
  parameter int unsigned DESC_UXN = 54;
  parameter int unsigned DESC_PXNTABLE = 59;
  parameter int unsigned DESC_UXNTABLE = 60;

  // Limits collected from table descriptors (VMSA-24).
  typedef struct packed {
    logic [1:0] ap;
    logic       uxn;
    logic       pxn;
  } limits_t;

  function automatic logic [63:0] byte_swap(logic [63:0] x);
    return {x[7:0], x[15:8], x[23:16], x[31:24], x[39:32], x[47:40], x[55:48], x[63:56]};
  endfunction

  // What a TLB keeps of a leaf. Everything that depends on the access is left to the lookup (TLB-26).
  typedef struct packed {
    vpn_t       oa;        // output address [47:12]; bits inside the entry's span are zero
    logic [7:0] attr;      // MAIR byte, reserved encodings resolved
    logic [1:0] sh;        // effective shareability
    logic       el1_w;
    logic       el0_r;
    logic       el0_w;
    logic       uxn;
    logic       pxn;
    logic       clean;     // writable, but the dirty state is not yet set (HAF-12)
    logic       is_run;    // made from a contiguous run
    level_t     level;
  } leaf_t;

  // ---- permissions (section 5) ----------------------------------------------------------------

  typedef struct packed {
    logic allowed;
    logic wnr;     // for the syndrome of a denied access (VMSA-30)
  } permission_t;

  function automatic permission_t check_permission(
      leaf_t leaf, access_e access, logic el1, logic pan, logic epan, logic wxn);
    permission_t p;
    logic el0_x, el1_x, pan_blocks, r, w, x;
    el0_x = !leaf.uxn;
    el1_x = !leaf.pxn && !leaf.el0_w;                                     // VMSA-21
    pan_blocks = pan && (leaf.el0_r || leaf.el0_w || (epan && el0_x));    // VMSA-27
    r = el1 ? !pan_blocks : leaf.el0_r;
    w = el1 ? leaf.el1_w && !pan_blocks : leaf.el0_w;
    // WXN removes execution where the location is writable at the level of the access. A fetch
    // from Device memory is refused (VMSA-29).
    x = (el1 ? el1_x && !(wxn && leaf.el1_w) : el0_x && !(wxn && leaf.el0_w)) &&
        !is_device(leaf.attr);
    unique case (access)
      ACCESS_READ:  p = '{allowed: r, wnr: 1'b0};
      ACCESS_WRITE: p = '{allowed: w, wnr: 1'b1};
      ACCESS_EXEC:  p = '{allowed: x, wnr: 1'b0};
      default:      p = '{allowed: r && w, wnr: r};
    endcase
    return p;
  endfunction

  // ---- memory attributes (section 1.3) --------------------------------------------------------

  parameter logic [7:0] ATTR_DEVICE_NGNRNE = 8'h00;
  parameter logic [7:0] ATTR_NORMAL_NC = 8'h44;
  parameter logic [7:0] ATTR_NORMAL_WT_RA = 8'haa;
  parameter logic [1:0] SH_OUTER = 2'd2;

  function automatic logic is_device(logic [7:0] attr);
    return attr[7:4] == 4'd0;
  endfunction

  // Reserved MAIR bytes act as Device-nGnRnE (section 16).
  function automatic logic [7:0] resolve_attr(logic [63:0] mair, logic [2:0] index);
    logic [7:0] b;
    b = mair[8*index+:8];
    if (b[7:4] == 4'd0) return b[1:0] == 2'd0 ? b : ATTR_DEVICE_NGNRNE;
    if (b[3:0] == 4'd0 || b == 8'hf0) return ATTR_DEVICE_NGNRNE;
    return b;
  endfunction

  // Device and Non-cacheable are Outer Shareable; so is the reserved encoding 01.
  function automatic logic [1:0] resolve_sh(logic [7:0] attr, logic [1:0] sh);
    return (is_device(attr) || attr == ATTR_NORMAL_NC || sh == 2'd1) ? SH_OUTER : sh;
  endfunction

  // ---- fault status codes (section 8) ---------------------------------------------------------

  typedef logic [5:0] fsc_t;

  parameter fsc_t FSC_ADDRESS_SIZE = 6'h00;
  parameter fsc_t FSC_TRANSLATION = 6'h04;
  parameter fsc_t FSC_ACCESS_FLAG = 6'h08;
  parameter fsc_t FSC_PERMISSION = 6'h0c;
  parameter fsc_t FSC_EXTERNAL = 6'h10;
  parameter fsc_t FSC_EXTERNAL_WALK = 6'h14;
  parameter fsc_t FSC_ALIGNMENT = 6'h21;
  parameter fsc_t FSC_TLB_CONFLICT = 6'h30;

  function automatic fsc_t fsc_at(fsc_t kind, level_t level);
    return kind | {4'd0, level};
  endfunction

  /* verilator lint_on UNUSEDPARAM */
  /* verilator lint_on UNUSEDSIGNAL */

endpackage
