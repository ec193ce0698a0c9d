// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Judges a block or page descriptor for one access: the faults of a leaf in their order of priority,
// the update that the access owes the descriptor, and the TLB entry that it makes.
//
// Combinational. The caller has already found the descriptor to be a leaf.
module leaf_decode
  import vmsa_pkg::*;
  import walk_pkg::*;
(
    input logic [63:0] desc_i,
    input granule_e    granule_i,
    input level_t      level_i,
    input logic [5:0]  iasize_i,
    input limits_t     limits_i,
    input logic [63:0] mair_i,
    input logic [2:0]  ips_i,
    input logic        ha_i,
    input logic        hd_i,
    input logic        contiguous_i,  // strap: the contiguous hint is used
    input logic        has_nt_i,      // FEAT_BBM: the nT bit of a block counts
    input logic        wxn_i,
    input logic        epan_i,

    input access_e access_i,
    input logic    el1_i,
    input logic    pan_i,
    input logic    probe_i,
    input logic    dry_i,
    input logic    unaligned_i,

    output logic        update_o,       // the access owes `update_desc_o` to memory first
    output logic [63:0] update_desc_o,
    output walk_rsp_t   rsp_o           // as it stands once the update is done
);

  // The page or block spans the bits below `lsb`; a contiguous run those below `run_lsb`. A run
  // larger than the VA range is no run (section 16).
  logic [5:0] lsb, run_lsb;
  logic is_run;
  assign lsb     = level_lsb(granule_i, level_i);
  assign run_lsb = lsb + run_bits(granule_i, level_i);
  assign is_run  = contiguous_i && desc_i[DESC_CONTIGUOUS] && run_lsb <= iasize_i;

  pa_t oa, entry_oa;
  assign oa       = desc_i[PA_BITS-1:0] & ~ones_below(lsb);
  assign entry_oa = is_run ? oa & ~ones_below(run_lsb) : oa;

  logic unused;
  assign unused = ^{1'b0, entry_oa[11:0]};

  logic [7:0] attr;
  assign attr = resolve_attr(mair_i, desc_i[4:2]);

  logic dbm, writable;
  assign dbm      = hd_i && desc_i[DESC_DBM];
  assign writable = (dbm || !desc_i[DESC_AP2]) && !limits_i.ap[1];

  leaf_t leaf;
  always_comb begin
    leaf.oa    = entry_oa[PA_BITS-1:12];
    leaf.attr  = attr;
    leaf.sh    = resolve_sh(attr, desc_i[9:8]);
    leaf.el1_w = writable;
    leaf.el0_r = desc_i[DESC_AP1] && !limits_i.ap[0];
    leaf.el0_w = leaf.el0_r && writable;
    leaf.uxn   = desc_i[DESC_UXN] || limits_i.uxn;
    leaf.pxn   = desc_i[DESC_PXN] || limits_i.pxn;
    leaf.clean = dbm && desc_i[DESC_AP2];
    leaf.is_run = is_run && run_lsb != lsb;
    leaf.level = level_i;
  end

  permission_t permission;
  assign permission = check_permission(leaf, access_i, el1_i, pan_i, epan_i, wxn_i);

  logic writes, set_af, set_dirty;
  assign writes    = access_i == ACCESS_WRITE || access_i == ACCESS_RMW;
  assign set_af    = ha_i && !desc_i[DESC_AF];
  assign set_dirty = leaf.clean && writes && !probe_i;

  always_comb begin
    rsp_o = '{
      fault: 1'b0,
      fsc: '0,
      wnr: access_i == ACCESS_WRITE,
      // BBM-05: a block marked nT is used once and not kept.
      cacheable: !(has_nt_i && desc_i[DESC_NT] && level_i != 2'd3),
      is_global: !desc_i[DESC_NG],
      span: ~(is_run ? vpn_t'(ones_below(run_lsb) >> 12) : vpn_t'(ones_below(lsb) >> 12)),
      leaf: leaf
    };
    update_o = 1'b0;
    // Section 7, items 10 to 14. A Permission or Device alignment fault may leave the translation
    // in the TLB, if no access flag update is owed (VMSA-47, HAF-01, HAF-10).
    if ((oa & beyond_output_size(ips_i)) != '0) begin
      rsp_o.fault = 1'b1;
      rsp_o.fsc = fsc_at(FSC_ADDRESS_SIZE, level_i);
      rsp_o.cacheable = 1'b0;
    end else if (!desc_i[DESC_AF] && !ha_i) begin
      rsp_o.fault = 1'b1;
      rsp_o.fsc = fsc_at(FSC_ACCESS_FLAG, level_i);
      rsp_o.cacheable = 1'b0;
    end else if (unaligned_i && is_device(attr)) begin
      rsp_o.fault = 1'b1;
      rsp_o.fsc = FSC_ALIGNMENT;
      rsp_o.cacheable = rsp_o.cacheable && !set_af;
    end else if (!permission.allowed) begin
      rsp_o.fault = 1'b1;
      rsp_o.fsc = fsc_at(FSC_PERMISSION, level_i);
      rsp_o.wnr = permission.wnr;
      rsp_o.cacheable = rsp_o.cacheable && !set_af;
    end else begin
      update_o = (set_af && !dry_i) || set_dirty;
      if (set_dirty) rsp_o.leaf.clean = 1'b0;
      if (set_af && dry_i) rsp_o.cacheable = 1'b0;  // HAF-01
    end
  end

  // HAF-05, HAF-06: both bits in one swap, nothing else.
  always_comb begin
    update_desc_o = desc_i;
    if (set_af) update_desc_o[DESC_AF] = 1'b1;
    if (set_dirty) update_desc_o[DESC_AP2] = 1'b0;
  end

endmodule
