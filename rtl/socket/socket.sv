// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The boundary between hardware and software: cores' MMUs, the home agents, the invalidation network
// between cores, and the lanes of socket_pkg. Software reaches the hardware through these ports only;
// another design behind the same ports needs no change in software.
//
// Core c belongs to node c / CoresPerNode. Pages of 4 KiB are dealt out to the nodes in turn. All
// inputs are registered first, but for the index of the counter to be read.
module socket
  import bus_pkg::*;
  import dvm_pkg::dvm_msg_t;
  import socket_pkg::*;
#(
    parameter int unsigned CoresPerNode = 1,
    parameter int unsigned Nodes = 1,          // a power of two, at most 8
    parameter int unsigned ItlbEntries = 32,
    parameter int unsigned DtlbEntries = 48,
    parameter int unsigned L2SetsLog2 = 8,
    parameter int unsigned L2Ways = 5,
    parameter int unsigned WalkCacheEntries = 16,
    parameter int unsigned Walkers = 4,        // at most 4
    localparam int unsigned Cores = CoresPerNode * Nodes
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
    output node_obs_t [Nodes-1:0] node_obs_o,

    input  logic [7:0]             pmu_index_i,
    output logic [Cores-1:0][63:0] pmu_value_o
);

  localparam int unsigned Ports = 2 * Cores;  // data and walks of each core

  assign info_o = '{
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
  always_ff @(posedge clk_i) begin
    if (!rst_ni) strap_q <= strap_i;
  end

  logic     [Ports-1:0] valid, ready;
  mem_req_t [Ports-1:0] req;
  mem_rsp_t [Ports-1:0][Nodes-1:0] rsp;

  logic     [Cores-1:0] dvm_valid, dvm_ready, dvm_done, dvm_room, dvm_answer;
  dvm_msg_t [Cores-1:0] dvm_msg;
  logic     [Cores-1:0][7:0] dvm_answer_to;
  logic dvm_in_valid;
  dvm_msg_t dvm_in;

  // ---- cores ----------------------------------------------------------------------------------

  for (genvar c = 0; c < Cores; c++) begin : gen_core
    core_req_t core_req;
    core_rsp_t core_rsp;
    mem_rsp_t data_rsp, walk_rsp;
    logic core_ready, inbox_ready;
    logic [DELAY_CHANNELS-1:0] go;

    delay_source #(
        .Index(8'(c))
    ) u_delay (
        .clk_i,
        .rst_ni,
        .channels_i(strap_q.delay),
        .seed_i(strap_i.delay_seed),
        .go_o(go)
    );

    request_inbox u_inbox (
        .clk_i,
        .rst_ni,
        .in_i(core_req_i[c]),
        .ready_o(inbox_ready),
        .req_o(core_req),
        .req_ready_i(core_ready)
    );

    response_merge #(
        .Nodes(Nodes)
    ) u_data_rsp (
        .clk_i,
        .rst_ni,
        .go_i(go[DELAY_MEM_RSP]),
        .rsp_i(rsp[2*c]),
        .rsp_o(data_rsp)
    );

    response_merge #(
        .Nodes(Nodes)
    ) u_walk_rsp (
        .clk_i,
        .rst_ni,
        .go_i(go[DELAY_MEM_RSP]),
        .rsp_i(rsp[2*c+1]),
        .rsp_o(walk_rsp)
    );

    mmu #(
        .ItlbEntries(ItlbEntries),
        .DtlbEntries(DtlbEntries),
        .L2SetsLog2(L2SetsLog2),
        .L2Ways(L2Ways),
        .WalkCacheEntries(WalkCacheEntries),
        .Walkers(Walkers),
        .Nodes(Nodes)
    ) u_mmu (
        .clk_i,
        .rst_ni,
        .strap_i(strap_q),
        .go_i(go),
        .core_i(8'(c)),
        .node_i(3'(c / CoresPerNode)),
        .req_i(core_req),
        .req_ready_o(core_ready),
        .rsp_o(core_rsp),
        .obs_o(core_obs_o[c]),
        .data_valid_o(valid[2*c]),
        .data_req_o(req[2*c]),
        .data_ready_i(ready[2*c]),
        .data_rsp_i(data_rsp),
        .walk_valid_o(valid[2*c+1]),
        .walk_req_o(req[2*c+1]),
        .walk_ready_i(ready[2*c+1]),
        .walk_rsp_i(walk_rsp),
        .dvm_valid_o(dvm_valid[c]),
        .dvm_o(dvm_msg[c]),
        .dvm_ready_i(dvm_ready[c]),
        .dvm_done_i(dvm_done[c]),
        .dvm_valid_i(dvm_in_valid),
        .dvm_i(dvm_in),
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
      .valid_o(dvm_in_valid),
      .msg_o(dvm_in),
      .ready_i(dvm_room),
      .answer_i(dvm_answer),
      .answer_to_i(dvm_answer_to)
  );

  // ---- nodes ----------------------------------------------------------------------------------

  logic [Nodes-1:0][Ports-1:0] node_valid, node_ready;

  always_comb begin
    for (int unsigned n = 0; n < Nodes; n++) begin
      for (int unsigned p = 0; p < Ports; p++) begin
        node_valid[n][p] = valid[p] && home_of(req[p].addr[47:12], Nodes) == 3'(n);
      end
    end
  end

  always_comb begin
    ready = '0;
    for (int unsigned n = 0; n < Nodes; n++) ready |= node_valid[n] & node_ready[n];
  end

  for (genvar n = 0; n < Nodes; n++) begin : gen_node
    logic home_valid, home_ready;
    mem_req_t home_req;
    mem_rsp_t [Ports-1:0] home_rsp;
    logic [$clog2(Ports)-1:0] home_port;
    logic [DELAY_CHANNELS-1:0] go;

    delay_source #(
        .Index(8'(64 + n))
    ) u_delay (
        .clk_i,
        .rst_ni,
        .channels_i(strap_q.delay),
        .seed_i(strap_i.delay_seed),
        .go_o(go)
    );

    request_arbiter #(
        .Ports(Ports)
    ) u_arbiter (
        .clk_i,
        .rst_ni,
        .valid_i(node_valid[n]),
        .req_i(req),
        .ready_o(node_ready[n]),
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
        .go_i(go[DELAY_MEM_REQ]),
        .valid_i(home_valid),
        .req_i(home_req),
        .port_i(home_port),
        .ready_o(home_ready),
        .rsp_o(home_rsp),
        .dram_req_o(dram_req_o[n]),
        .dram_rsp_i(dram_rsp_i[n]),
        .obs_o(node_obs_o[n])
    );

    for (genvar p = 0; p < Ports; p++) begin : gen_rsp
      assign rsp[p][n] = home_rsp[p];
    end

    logic unused;
    assign unused = ^{1'b0, go};
  end

endmodule
