// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Everything between the cores' memory ports and DRAM: links from node to node, and at each node the
// home agent with its memory controller.
//
// Ports 2c and 2c+1 are data and walks of core c, which belongs to node c / CoresPerNode. Requests
// are valid/ready; answers are always accepted. A request for an address without a home, or for a
// node that is unreachable (distance 255), is answered with an error (NOC-03).
//
// The delay of a link is what the distance table asks of the whole way less what the rest of it takes
// (NOC-01, NOC-02): half of it is spent on the way there, half on the way back.
module memory_system
  import bus_pkg::*;
  import memory_pkg::*;
  import node_pmu_pkg::*;
  import socket_pkg::*;
#(
    parameter int unsigned CoresPerNode = 1,
    parameter int unsigned CpuNodes = 1,   // the first of the nodes have cores
    parameter int unsigned Nodes = 1,      // at most 8
    parameter int unsigned Channels = 1,
    localparam int unsigned Ports = 2 * CoresPerNode * CpuNodes
) (
    input logic clk_i,
    input logic rst_ni,

    input memory_config_t config_i,  // steady after reset
    input logic [Ports/2-1:0][DELAY_CHANNELS-1:0] core_go_i,
    input logic [Nodes-1:0][DELAY_CHANNELS-1:0] node_go_i,

    input  logic     [Ports-1:0] valid_i,
    input  mem_req_t [Ports-1:0] req_i,
    output logic     [Ports-1:0] ready_o,
    output logic     [Ports-1:0] remote_o,  // another node is home to the address requested
    output mem_rsp_t [Ports-1:0] rsp_o,

    // What is not DRAM in an access from one node to another, for the invalidation network: H(i,j).
    output clocks_t [CpuNodes-1:0][CpuNodes-1:0] distance_o,

    output dram_req_t [Nodes-1:0] dram_req_o,
    input  dram_rsp_t [Nodes-1:0] dram_rsp_i,
    output node_obs_t [Nodes-1:0] node_obs_o,
    output dram_command_t [Nodes-1:0][Channels-1:0] command_o,

    input  logic [7:0]             count_index_i,
    output logic [Nodes-1:0][63:0] count_o
);

  localparam int unsigned LocalPorts = 2 * CoresPerNode;
  localparam int unsigned IdBits = 6;
  // Clocks of a data load with its translation at hand from the edge that samples its request at the
  // socket to its response, besides links, the hop into the controller and DRAM timing: 4 to the home
  // agent (inbox 1, lookup 1, permission check 1, data port 1), 1 in which the home agent learns that
  // the time has come, and 1 of the response lane.
  localparam int unsigned Fixed = 6;

  typedef logic [$clog2(Ports)-1:0] port_t;

  typedef struct packed {
    mem_req_t req;
    port_t    port;
    clocks_t  stamp;  // when it entered the link
  } request_t;

  typedef struct packed {
    mem_rsp_t rsp;
    port_t    port;
    clocks_t  stamp;  // of its request
  } answer_t;

  clocks_t now_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) now_q <= '0;
    else now_q <= now_q + clocks_t'(1);
  end

  // ---- delays of the links, from the distance table ----------------------------------------------

  clocks_t [CpuNodes-1:0][Nodes-1:0] delay_q;
  logic [CpuNodes-1:0][Nodes-1:0] reachable;

  /* verilator lint_off UNUSEDSIGNAL */  // of a node only its idle service time
  // Into the controller: a clock, or the delay of the port if it has one. Out of it none but the port's.
  function automatic clocks_t hops(node_config_t node);
    return node.timed && node.port_delay == '0 ? 16'd1 : '0;
  endfunction

  // What the distance asks of an idle read of a closed row, less what it takes without the link.
  function automatic clocks_t link_delay(logic [7:0] slit, logic [15:0] unit, node_config_t node);
    logic [23:0] whole;
    clocks_t service;
    whole = (24'(slit) * 24'(unit)) >> 4;
    service = clocks_t'(Fixed) + hops(node) + (node.timed ? node.rcd + node.cl + node.burst
                                                            + node.port_delay + node.port_delay : '0);
    return whole > 24'(service) ? clocks_t'(whole - 24'(service)) : '0;
  endfunction
  /* verilator lint_on UNUSEDSIGNAL */

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < CpuNodes; i++) begin
        for (int unsigned j = 0; j < Nodes; j++) begin
          delay_q[i][j] <= link_delay(config_i.slit[i][j], config_i.lat_unit, config_i.node[j]);
        end
      end
    end
  end

  always_comb begin
    for (int unsigned i = 0; i < CpuNodes; i++) begin
      for (int unsigned j = 0; j < Nodes; j++) reachable[i][j] = config_i.slit[i][j] != 8'd255;
      for (int unsigned j = 0; j < CpuNodes; j++) begin
        distance_o[i][j] = i == j || config_i.lat_unit == '0 ? '0
            : delay_q[i][j] + clocks_t'(Fixed) + hops(config_i.node[j]);
      end
    end
  end

  // ---- where each request goes ------------------------------------------------------------------

  home_t [Ports-1:0] home;
  logic [Ports-1:0] nowhere;
  always_comb begin
    for (int unsigned p = 0; p < Ports; p++) begin
      home[p] = '0;
      if (valid_i[p]) home[p] = home_of(req_i[p].addr[47:12], config_i.home);
      nowhere[p] = valid_i[p]
          && (!home[p].valid || !reachable[p/LocalPorts][32'(home[p].node) % Nodes]);
      remote_o[p] = home[p].node != 3'(p / LocalPorts);
    end
  end

  logic [CpuNodes-1:0][Nodes-1:0] out_valid, out_ready;
  request_t [CpuNodes-1:0][Nodes-1:0] out;
  logic [CpuNodes-1:0][Nodes-1:0][LocalPorts-1:0] taken;
  answer_t [CpuNodes-1:0][Nodes-1:0] back;
  logic [CpuNodes-1:0][Nodes-1:0] back_valid;
  logic [Nodes-1:0][CpuNodes-1:0] request_stall;

  for (genvar i = 0; i < CpuNodes; i++) begin : gen_from
    for (genvar j = 0; j < Nodes; j++) begin : gen_to
      logic [LocalPorts-1:0] wants;
      logic valid, ready;
      mem_req_t req;
      logic [$clog2(LocalPorts)-1:0] port;
      request_t sent;

      always_comb begin
        for (int unsigned p = 0; p < LocalPorts; p++) begin
          wants[p] = valid_i[i*LocalPorts+p] && !nowhere[i*LocalPorts+p]
              && 32'(home[i*LocalPorts+p].node) == j;
        end
      end

      turn_arbiter #(
          .Inputs(LocalPorts),
          .Width($bits(mem_req_t))
      ) u_arbiter (
          .clk_i,
          .rst_ni,
          .valid_i(wants),
          .payload_i(req_i[i*LocalPorts+:LocalPorts]),
          .ready_o(taken[i][j]),
          .valid_o(valid),
          .payload_o(req),
          .from_o(port),
          .ready_i(ready)
      );

      assign sent = '{req: req, port: port_t'(i * LocalPorts + 32'(port)), stamp: now_q};

      delay_link #(
          .Width($bits(request_t)),
          .Depth(32)
      ) u_link (
          .clk_i,
          .rst_ni,
          .delay_i(delay_q[i][j] >> 1),
          .limit_i(config_i.link[i][j]),
          .valid_i(valid),
          .payload_i(sent),
          .bytes_i(req.op == MEM_WRITE ? 7'd64 : 7'd8),
          .ready_o(ready),
          .valid_o(out_valid[i][j]),
          .payload_o(out[i][j]),
          .ready_i(out_ready[i][j]),
          .stalled_o(request_stall[j][i])
      );
    end
  end

  // ---- nodes ------------------------------------------------------------------------------------

  for (genvar n = 0; n < Nodes; n++) begin : gen_node
    logic valid, ready;
    logic [CpuNodes > 1 ? $clog2(CpuNodes)-1 : 0:0] from;
    request_t request;
    logic time_push, time_write, time_walk, time_ready, time_done;
    logic [IdBits-1:0] time_id, time_done_id;
    line_t time_line;
    mem_rsp_t rsp;
    port_t rsp_port;
    clocks_t rsp_stamp;
    port_events_t port_events;
    channel_events_t [Channels-1:0] channel_events;
    logic [CpuNodes-1:0] answer_stall, returned;
    clocks_t [CpuNodes-1:0] latency;

    logic [CpuNodes-1:0] in_valid, in_ready;
    request_t [CpuNodes-1:0] in;
    always_comb begin
      for (int unsigned i = 0; i < CpuNodes; i++) begin
        in_valid[i] = out_valid[i][n];
        in[i] = out[i][n];
        out_ready[i][n] = in_ready[i];
      end
    end

    turn_arbiter #(
        .Inputs(CpuNodes),
        .Width($bits(request_t))
    ) u_arbiter (
        .clk_i,
        .rst_ni,
        .valid_i(in_valid),
        .payload_i(in),
        .ready_o(in_ready),
        .valid_o(valid),
        .payload_o(request),
        .from_o(from),
        .ready_i(ready)
    );

    home_agent #(
        .Ports(Ports)
    ) u_home (
        .clk_i,
        .rst_ni,
        .go_i(node_go_i[n][DELAY_MEM_REQ]),
        .timed_i(config_i.node[n].timed),
        .valid_i(valid),
        .req_i(request.req),
        .port_i(request.port),
        .stamp_i(request.stamp),
        .ready_o(ready),
        .rsp_o(rsp),
        .rsp_port_o(rsp_port),
        .rsp_stamp_o(rsp_stamp),
        .dram_req_o(dram_req_o[n]),
        .dram_rsp_i(dram_rsp_i[n]),
        .obs_o(node_obs_o[n]),
        .time_push_o(time_push),
        .time_write_o(time_write),
        .time_walk_o(time_walk),
        .time_id_o(time_id),
        .time_line_o(time_line),
        .time_ready_i(time_ready),
        .time_done_i(time_done),
        .time_id_i(time_done_id)
    );

    memory_controller #(
        .IdBits(IdBits),
        .Channels(Channels)
    ) u_controller (
        .clk_i,
        .rst_ni,
        .config_i(config_i.node[n]),
        .push_i(time_push),
        .push_write_i(time_write),
        .push_walk_i(time_walk),
        .push_id_i(time_id),
        .push_line_i(time_line),
        .ready_o(time_ready),
        .done_o(time_done),
        .done_id_o(time_done_id),
        .command_o(command_o[n]),
        .port_events_o(port_events),
        .channel_events_o(channel_events)
    );

    // Answers: at most as many are under way as the home agent has slots, so the links have room.
    for (genvar i = 0; i < CpuNodes; i++) begin : gen_back
      answer_t answer;
      logic ready_back;
      assign answer = '{rsp: rsp, port: rsp_port, stamp: rsp_stamp};
      assign returned[i] = back_valid[i][n];
      assign latency[i] = now_q - back[i][n].stamp;
      delay_link #(
          .Width($bits(answer_t)),
          .Depth(1 << IdBits)
      ) u_link (
          .clk_i,
          .rst_ni,
          .delay_i(delay_q[i][n] - (delay_q[i][n] >> 1)),
          .limit_i(config_i.link[n][i]),
          .valid_i(rsp.valid && 32'(rsp_port) / LocalPorts == i),
          .payload_i(answer),
          .bytes_i(rsp_port[0] ? 7'd8 : 7'd64),
          .ready_o(ready_back),
          .valid_o(back_valid[i][n]),
          .payload_o(back[i][n]),
          .ready_i(1'b1),
          .stalled_o(answer_stall[i])
      );
      logic unused_back;
      assign unused_back = ^{1'b0, ready_back};
    end

    node_counters #(
        .CpuNodes(CpuNodes),
        .Channels(Channels),
        .Ports(Ports)
    ) u_counters (
        .clk_i,
        .rst_ni,
        .accepted_i(valid && ready),
        .op_i(request.req.op),
        .port_i(request.port),
        .answered_i(rsp.valid),
        .error_i(rsp.error),
        .answer_port_i(rsp_port),
        .returned_i(returned),
        .latency_i(latency),
        .request_stall_i(request_stall[n]),
        .answer_stall_i(answer_stall),
        .timed_i(config_i.node[n].timed),
        .waiting_i(valid),
        .port_events_i(port_events),
        .channel_events_i(channel_events),
        .index_i(count_index_i),
        .value_o(count_o[n])
    );

    logic unused_node;
    assign unused_node = ^{1'b0, node_go_i[n], from};
  end

  // ---- answers at the ports ---------------------------------------------------------------------

  for (genvar p = 0; p < Ports; p++) begin : gen_port
    mem_rsp_t [Nodes:0] rsp;
    mem_rsp_t error_q;

    // What has no home is refused at once.
    always_ff @(posedge clk_i) begin
      if (!rst_ni) error_q <= '0;
      else error_q <= '{valid: nowhere[p] && ready_o[p], error: 1'b1, tag: req_i[p].tag, data: '0};
    end

    always_comb begin
      rsp = '0;
      rsp[Nodes] = error_q;
      ready_o[p] = nowhere[p];
      for (int unsigned n = 0; n < Nodes; n++) begin
        if (back_valid[p/LocalPorts][n] && back[p/LocalPorts][n].port == port_t'(p)) begin
          rsp[n] = back[p/LocalPorts][n].rsp;
        end
        if (!nowhere[p] && 32'(home[p].node) == n && taken[p/LocalPorts][n][p%LocalPorts]) ready_o[p] = 1'b1;
      end
    end

    response_merge #(
        .Nodes(Nodes + 1)
    ) u_merge (
        .clk_i,
        .rst_ni,
        .go_i(core_go_i[p/2][DELAY_MEM_RSP]),
        .rsp_i(rsp),
        .rsp_o(rsp_o[p])
    );
  end

  logic unused;
  assign unused = ^{1'b0, core_go_i, config_i};

endmodule
