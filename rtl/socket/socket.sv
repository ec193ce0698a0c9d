// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The boundary between hardware and software: cores' MMUs, the home agents, the invalidation network
// between cores, and the lanes of socket_pkg. Software reaches the hardware through these ports only;
// another design behind the same ports needs no change in software.
//
// Core c belongs to node c / CoresPerNode; nodes from CpuNodes on have memory only. Which node is
// home to an address, and how far and how fast its memory is, the memory configuration says. All
// inputs are registered first, but for the index of the counter to be read.
module socket
  import bus_pkg::*;
  import dvm_pkg::dvm_msg_t;
  import memory_pkg::*;
  import socket_pkg::*;
#(
    parameter int unsigned CoresPerNode = 1,
    parameter int unsigned CpuNodes = 1,
    parameter int unsigned Nodes = 1,          // at most 8
    parameter int unsigned Channels = 1,       // of each node's memory controller: 1 or 2
    parameter int unsigned ItlbEntries = 32,
    parameter int unsigned DtlbEntries = 48,
    parameter int unsigned L2SetsLog2 = 8,
    parameter int unsigned L2Ways = 5,
    parameter int unsigned WalkCacheEntries = 16,
    parameter int unsigned Walkers = 4,        // at most 4
    localparam int unsigned Cores = CoresPerNode * CpuNodes
) (
    input logic clk_i,
    input logic rst_ni,

    input  strap_t         strap_i,
    input  memory_config_t memory_i,
    output info_t          info_o,

    input  core_req_t [Cores-1:0] core_req_i,
    output core_rsp_t [Cores-1:0] core_rsp_o,
    output core_obs_t [Cores-1:0] core_obs_o,

    output dram_req_t [Nodes-1:0] dram_req_o,
    input  dram_rsp_t [Nodes-1:0] dram_rsp_i,
    output node_obs_t [Nodes-1:0] node_obs_o,

    output command_obs_t [Nodes*Channels-1:0] command_o,

    input  logic [7:0]             pmu_index_i,
    output logic [Cores-1:0][63:0] pmu_value_o,
    output logic [Nodes-1:0][63:0] node_value_o
);

  localparam int unsigned Ports = 2 * Cores;  // data and walks of each core

  assign info_o = '{
    rsvd: '0,
    node_counters: 8'(node_pmu_pkg::NODE_PMU_COUNT),
    channels: 8'(Channels),
    cpu_nodes: 8'(CpuNodes),
    magic: ABI_MAGIC,
    version: ABI_VERSION,
    cores: 8'(Cores),
    nodes: 8'(Nodes),
    counters: 16'(pmu_pkg::PMU_COUNT),
    itlb_entries: 8'(ItlbEntries),
    dtlb_entries: 8'(DtlbEntries),
    asid_bits: 8'd16,
    pamax: 8'(vmsa_pkg::PA_BITS),
    l2_ways: 8'(L2Ways),
    l2_sets_log2: 8'(L2SetsLog2),
    walkers: 8'(Walkers),
    walk_cache_entries: 8'(WalkCacheEntries)
  };

  // Straps hold for the whole run.
  strap_t strap_q;
  memory_config_t memory_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      strap_q  <= strap_i;
      memory_q <= memory_i;
    end
  end

  logic     [Ports-1:0] valid, ready, remote;
  mem_req_t [Ports-1:0] req;
  mem_rsp_t [Ports-1:0] rsp;
  logic [Cores-1:0][DELAY_CHANNELS-1:0] core_go;
  logic [Nodes-1:0][DELAY_CHANNELS-1:0] node_go;

  logic     [Cores-1:0] dvm_valid, dvm_ready, dvm_done, dvm_room, dvm_answer;
  dvm_msg_t [Cores-1:0] dvm_msg;
  logic     [Cores-1:0][7:0] dvm_answer_to;
  logic dvm_out_valid;
  dvm_msg_t dvm_out;
  logic [Cores-1:0] dvm_way, dvm_in_valid, dvm_back;
  dvm_msg_t [Cores-1:0] dvm_in;
  logic [Cores-1:0][7:0] dvm_back_to;
  clocks_t [CpuNodes-1:0][CpuNodes-1:0] distance;

  // ---- cores ----------------------------------------------------------------------------------

  for (genvar c = 0; c < Cores; c++) begin : gen_core
    core_req_t core_req;
    core_rsp_t core_rsp;
    logic core_ready, inbox_ready;
    delay_source #(
        .Index(8'(c))
    ) u_delay (
        .clk_i,
        .rst_ni,
        .channels_i(strap_q.delay),
        .seed_i(strap_i.delay_seed),
        .go_o(core_go[c])
    );

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
        .DtlbEntries(DtlbEntries),
        .L2SetsLog2(L2SetsLog2),
        .L2Ways(L2Ways),
        .WalkCacheEntries(WalkCacheEntries),
        .Walkers(Walkers)
    ) u_mmu (
        .clk_i,
        .rst_ni,
        .strap_i(strap_q),
        .go_i(core_go[c]),
        .core_i(8'(c)),
        .req_i(core_req),
        .req_ready_o(core_ready),
        .rsp_o(core_rsp),
        .obs_o(core_obs_o[c]),
        .data_valid_o(valid[2*c]),
        .data_req_o(req[2*c]),
        .data_remote_i(remote[2*c]),
        .data_ready_i(ready[2*c]),
        .data_rsp_i(rsp[2*c]),
        .walk_valid_o(valid[2*c+1]),
        .walk_req_o(req[2*c+1]),
        .walk_remote_i(remote[2*c+1]),
        .walk_ready_i(ready[2*c+1]),
        .walk_rsp_i(rsp[2*c+1]),
        .dvm_valid_o(dvm_valid[c]),
        .dvm_o(dvm_msg[c]),
        .dvm_ready_i(dvm_ready[c]),
        .dvm_done_i(dvm_done[c]),
        .dvm_valid_i(dvm_in_valid[c]),
        .dvm_i(dvm_in[c]),
        .dvm_ready_o(dvm_room[c]),
        .dvm_answer_o(dvm_answer[c]),
        .dvm_answer_to_o(dvm_answer_to[c]),
        .pmu_index_i,
        .pmu_value_o(pmu_value_o[c])
    );

    always_comb begin
      core_rsp_o[c] = core_rsp;
      core_rsp_o[c].req_ready = inbox_ready;
    end
  end

  dvm_distributor #(
      .Cores(Cores)
  ) u_distributor (
      .clk_i,
      .rst_ni,
      .valid_i(dvm_valid),
      .msg_i(dvm_msg),
      .ready_o(dvm_ready),
      .done_o(dvm_done),
      .valid_o(dvm_out_valid),
      .msg_o(dvm_out),
      .ready_i(dvm_way),
      .answer_i(dvm_back),
      .answer_to_i(dvm_back_to)
  );

  dvm_links #(
      .CoresPerNode(CoresPerNode),
      .CpuNodes(CpuNodes)
  ) u_dvm_links (
      .clk_i,
      .rst_ni,
      .distance_i(distance),
      .valid_i(dvm_out_valid),
      .msg_i(dvm_out),
      .ready_o(dvm_way),
      .valid_o(dvm_in_valid),
      .msg_o(dvm_in),
      .ready_i(dvm_room),
      .answer_i(dvm_answer),
      .answer_to_i(dvm_answer_to),
      .answer_o(dvm_back),
      .answer_to_o(dvm_back_to)
  );

  // ---- memory ---------------------------------------------------------------------------------

  for (genvar n = 0; n < Nodes; n++) begin : gen_node
    delay_source #(
        .Index(8'(64 + n))
    ) u_delay (
        .clk_i,
        .rst_ni,
        .channels_i(strap_q.delay),
        .seed_i(strap_i.delay_seed),
        .go_o(node_go[n])
    );
  end

  dram_command_t [Nodes-1:0][Channels-1:0] command;

  memory_system #(
      .CoresPerNode(CoresPerNode),
      .CpuNodes(CpuNodes),
      .Nodes(Nodes),
      .Channels(Channels)
  ) u_memory (
      .clk_i,
      .rst_ni,
      .config_i(memory_q),
      .core_go_i(core_go),
      .node_go_i(node_go),
      .valid_i(valid),
      .req_i(req),
      .ready_o(ready),
      .remote_o(remote),
      .rsp_o(rsp),
      .distance_o(distance),
      .dram_req_o,
      .dram_rsp_i,
      .node_obs_o,
      .command_o(command),
      .count_index_i(pmu_index_i),
      .count_o(node_value_o)
  );

  for (genvar n = 0; n < Nodes; n++) begin : gen_command
    for (genvar c = 0; c < Channels; c++) begin : gen_channel
      dram_command_t from;
      assign from = command[n][c];
      assign command_o[n*Channels+c] = '{
        column: 8'(from.column),
        row: 36'(from.row),
        rank: 4'(from.bank >> (GROUP_BITS + BANK_BITS)),
        group: 4'(GROUP_BITS'(from.bank >> BANK_BITS)),
        bank: 4'(BANK_BITS'(from.bank)),
        rsvd: '0,
        kind: from.kind,
        valid: from.valid
      };
    end
  end

endmodule
