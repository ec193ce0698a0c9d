// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The boundary between hardware and software: cores' MMUs, the home agent, and the lanes of
// socket_pkg. Software reaches the hardware through these ports only; another design behind the
// same ports needs no change in software.
//
// All inputs are registered first. Broadcast invalidation between cores and several nodes are not
// there yet: one core, one node.
module socket
  import bus_pkg::*;
  import socket_pkg::*;
#(
    parameter int unsigned Cores = 1,
    parameter int unsigned Nodes = 1,
    parameter int unsigned ItlbEntries = 32,
    parameter int unsigned DtlbEntries = 48
) (
    input logic clk_i,
    input logic rst_ni,

    input  strap_t strap_i,
    output info_t  info_o,

    input  core_req_t [Cores-1:0] core_req_i,
    output core_rsp_t [Cores-1:0] core_rsp_o,
    output core_obs_t [Cores-1:0] core_obs_o,

    output dram_req_t [Nodes-1:0] dram_req_o,
    input  dram_rsp_t [Nodes-1:0] dram_rsp_i,
    output node_obs_t [Nodes-1:0] node_obs_o
);

  localparam int unsigned Ports = 2 * Cores;  // data and walks of each core

  if (Cores != 1 || Nodes != 1) begin : gen_unsupported
    $error("this socket has one core and one node");
  end

  assign info_o = '{
    magic: ABI_MAGIC,
    version: ABI_VERSION,
    cores: 8'(Cores),
    nodes: 8'(Nodes),
    itlb_entries: 8'(ItlbEntries),
    dtlb_entries: 8'(DtlbEntries),
    asid_bits: 8'd16,
    pamax: 8'(vmsa_pkg::PA_BITS),
    default: '0
  };

  // Straps hold for the whole run.
  strap_t strap_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) strap_q <= strap_i;
  end

  logic     [Ports-1:0] valid, ready;
  mem_req_t [Ports-1:0] req;
  mem_rsp_t [Ports-1:0] rsp;

  for (genvar c = 0; c < Cores; c++) begin : gen_core
    core_req_t core_req;
    core_rsp_t core_rsp;
    logic core_ready, inbox_ready;

    request_inbox u_inbox (
        .clk_i,
        .rst_ni,
        .in_i(core_req_i[c]),
        .ready_o(inbox_ready),
        .req_o(core_req),
        .req_ready_i(core_ready)
    );

    mmu #(
        .ItlbEntries(ItlbEntries),
        .DtlbEntries(DtlbEntries)
    ) u_mmu (
        .clk_i,
        .rst_ni,
        .strap_i(strap_q),
        .req_i(core_req),
        .req_ready_o(core_ready),
        .rsp_o(core_rsp),
        .obs_o(core_obs_o[c]),
        .data_valid_o(valid[2*c]),
        .data_req_o(req[2*c]),
        .data_ready_i(ready[2*c]),
        .data_rsp_i(rsp[2*c]),
        .walk_valid_o(valid[2*c+1]),
        .walk_req_o(req[2*c+1]),
        .walk_ready_i(ready[2*c+1]),
        .walk_rsp_i(rsp[2*c+1])
    );

    always_comb begin
      core_rsp_o[c] = core_rsp;
      core_rsp_o[c].req_ready = inbox_ready;
    end
  end

  logic home_valid, home_ready;
  mem_req_t home_req;
  logic [$clog2(Ports)-1:0] home_port;

  request_arbiter #(
      .Ports(Ports)
  ) u_arbiter (
      .clk_i,
      .rst_ni,
      .valid_i(valid),
      .req_i(req),
      .ready_o(ready),
      .valid_o(home_valid),
      .req_o(home_req),
      .port_o(home_port),
      .ready_i(home_ready)
  );

  home_agent #(
      .Ports(Ports)
  ) u_home (
      .clk_i,
      .rst_ni,
      .stall_i(strap_q.stall),
      .valid_i(home_valid),
      .req_i(home_req),
      .port_i(home_port),
      .ready_o(home_ready),
      .rsp_o(rsp),
      .dram_req_o(dram_req_o[0]),
      .dram_rsp_i(dram_rsp_i[0]),
      .obs_o(node_obs_o[0])
  );

endmodule
