// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The event counters of one node. An event counts in the cycle after it, which is the one in which
// the DRAM port and the command lane show what belongs to it; reading has no effect (PMU-08).
//
// Each counter has one writer, and none is touched without an event. Latency: the value of index_i
// stands in the same cycle.
module node_counters
  import bus_pkg::*;
  import memory_pkg::clocks_t;
  import node_pmu_pkg::*;
#(
    parameter int unsigned CpuNodes = 1,
    parameter int unsigned Channels = 1,
    parameter int unsigned Ports = 2,  // data and walks of each core
    localparam int unsigned PortBits = $clog2(Ports)
) (
    input logic clk_i,
    input logic rst_ni,

    input logic                accepted_i,  // by the home agent
    input mem_op_e             op_i,
    input logic [PortBits-1:0] port_i,
    input logic                answered_i,  // by the home agent
    input logic                error_i,
    input logic [PortBits-1:0] answer_port_i,

    input logic    [CpuNodes-1:0] returned_i,  // an answer leaves the link at its source
    input clocks_t [CpuNodes-1:0] latency_i,
    input logic    [CpuNodes-1:0] request_stall_i,
    input logic    [CpuNodes-1:0] answer_stall_i,

    input logic                           timed_i,    // the node has a controller
    input logic                           waiting_i,  // a request stands before the home agent
    input port_events_t                   port_events_i,
    input channel_events_t [Channels-1:0] channel_events_i,

    input  logic [7:0]  index_i,
    output logic [63:0] value_o
);

  typedef logic [7:0] index_t;

  logic [63:0] count_q[NODE_PMU_COUNT];

  function automatic index_t of_core(logic [PortBits-1:0] port, node_core_e field);
    return index_t'(8 * (32'(port) / 2) + 32'(field));
  endfunction

  function automatic index_t of_event(node_event_e field);
    return index_t'(NODE_EVENT + 32'(field));
  endfunction

  function automatic node_core_e request_field(mem_op_e op, logic walk);
    unique case (op)
      MEM_WRITE: return NODE_WRITE;
      MEM_CAS: return NODE_SWAP;
      default: return walk ? NODE_WALK_READ : NODE_READ;
    endcase
  endfunction

  function automatic logic [3:0] bucket(clocks_t latency);
    bucket = '0;
    for (int unsigned b = 1; b < NODE_BUCKETS; b++) if (latency[b]) bucket = 4'(b);
  endfunction

  index_t accepted_at, accepted_bytes_at, answer_at, answer_bytes_at, error_at;
  assign accepted_at       = of_core(port_i, request_field(op_i, port_i[0]));
  assign accepted_bytes_at = of_core(port_i, NODE_BYTES_TO);
  assign answer_at         = of_core(answer_port_i, NODE_ANSWER);
  assign answer_bytes_at   = of_core(answer_port_i, NODE_BYTES_FROM);
  assign error_at          = of_core(answer_port_i, NODE_ERROR);

  // Sums over the channels.
  channel_events_t any;
  logic [1:0] hits, closed, conflicts, activates, refreshes, turnarounds, overrides;
  logic [1:0] forwards, merges, waits;
  logic [7:0] reads, writes;
  logic [5:0] most_reads, most_writes;
  always_comb begin
    any = '0;
    hits = '0;
    closed = '0;
    conflicts = '0;
    activates = '0;
    refreshes = '0;
    turnarounds = '0;
    overrides = '0;
    forwards = '0;
    merges = '0;
    waits = '0;
    reads = '0;
    writes = '0;
    most_reads = '0;
    most_writes = '0;
    if (timed_i) begin
      for (int unsigned c = 0; c < Channels; c++) begin
        any         |= channel_events_i[c];
        hits        += 2'(channel_events_i[c].row_hit);
        closed      += 2'(channel_events_i[c].row_closed);
        conflicts   += 2'(channel_events_i[c].row_conflict);
        activates   += 2'(channel_events_i[c].activate);
        refreshes   += 2'(channel_events_i[c].refresh);
        turnarounds += 2'(channel_events_i[c].turnaround);
        overrides   += 2'(channel_events_i[c].age_override);
        forwards    += 2'(channel_events_i[c].forwarded);
        merges      += 2'(channel_events_i[c].merged);
        waits       += 2'(channel_events_i[c].refresh_wait);
        reads       += 8'(channel_events_i[c].reads);
        writes      += 8'(channel_events_i[c].writes);
        if (channel_events_i[c].reads > most_reads) most_reads = channel_events_i[c].reads;
        if (channel_events_i[c].writes > most_writes) most_writes = channel_events_i[c].writes;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q <= '{default: '0};
    end else begin
      if (accepted_i) begin
        count_q[accepted_at] <= count_q[accepted_at] + 64'd1;
        count_q[accepted_bytes_at] <= count_q[accepted_bytes_at]
            + (op_i == MEM_WRITE ? 64'd64 : 64'd8);
      end
      if (answered_i) begin
        count_q[answer_at] <= count_q[answer_at] + 64'd1;
        count_q[answer_bytes_at] <= count_q[answer_bytes_at]
            + (answer_port_i[0] ? 64'd8 : 64'd64);
        if (error_i) count_q[error_at] <= count_q[error_at] + 64'd1;
      end
      for (int unsigned i = 0; i < CpuNodes; i++) begin
        if (returned_i[i]) begin
          count_q[index_t'(NODE_LATENCY+NODE_BUCKETS*i+32'(bucket(latency_i[i])))] <=
              count_q[index_t'(NODE_LATENCY+NODE_BUCKETS*i+32'(bucket(latency_i[i])))] + 64'd1;
        end
        if (request_stall_i[i]) begin
          count_q[NODE_REQUEST_STALL+i] <= count_q[NODE_REQUEST_STALL+i] + 64'd1;
        end
        if (answer_stall_i[i]) begin
          count_q[NODE_ANSWER_STALL+i] <= count_q[NODE_ANSWER_STALL+i] + 64'd1;
        end
      end
      if (any != '0) begin
        count_q[of_event(NODE_ROW_HIT)] <= count_q[of_event(NODE_ROW_HIT)] + 64'(hits);
        count_q[of_event(NODE_ROW_CLOSED)] <= count_q[of_event(NODE_ROW_CLOSED)] + 64'(closed);
        count_q[of_event(NODE_ROW_CONFLICT)] <= count_q[of_event(NODE_ROW_CONFLICT)]
            + 64'(conflicts);
        count_q[of_event(NODE_ACTIVATE)] <= count_q[of_event(NODE_ACTIVATE)] + 64'(activates);
        count_q[of_event(NODE_REFRESH)] <= count_q[of_event(NODE_REFRESH)] + 64'(refreshes);
        count_q[of_event(NODE_TURNAROUND)] <= count_q[of_event(NODE_TURNAROUND)]
            + 64'(turnarounds);
        count_q[of_event(NODE_REFRESH_WAIT)] <= count_q[of_event(NODE_REFRESH_WAIT)] + 64'(waits);
        count_q[of_event(NODE_AGE_OVERRIDE)] <= count_q[of_event(NODE_AGE_OVERRIDE)]
            + 64'(overrides);
        count_q[of_event(NODE_READ_FORWARDED)] <= count_q[of_event(NODE_READ_FORWARDED)]
            + 64'(forwards);
        count_q[of_event(NODE_WRITE_MERGED)] <= count_q[of_event(NODE_WRITE_MERGED)] + 64'(merges);
        count_q[of_event(NODE_READ_QUEUE)] <= count_q[of_event(NODE_READ_QUEUE)] + 64'(reads);
        count_q[of_event(NODE_WRITE_QUEUE)] <= count_q[of_event(NODE_WRITE_QUEUE)] + 64'(writes);
        if (64'(most_reads) > count_q[of_event(NODE_READ_QUEUE_MOST)]) begin
          count_q[of_event(NODE_READ_QUEUE_MOST)] <= 64'(most_reads);
        end
        if (64'(most_writes) > count_q[of_event(NODE_WRITE_QUEUE_MOST)]) begin
          count_q[of_event(NODE_WRITE_QUEUE_MOST)] <= 64'(most_writes);
        end
      end
      if (timed_i && port_events_i != '0) begin
        if (port_events_i.slice_hit) begin
          count_q[of_event(NODE_SLICE_HIT)] <= count_q[of_event(NODE_SLICE_HIT)] + 64'd1;
        end
        if (port_events_i.slice_miss) begin
          count_q[of_event(NODE_SLICE_MISS)] <= count_q[of_event(NODE_SLICE_MISS)] + 64'd1;
        end
        if (port_events_i.tail) begin
          count_q[of_event(NODE_TAIL)] <= count_q[of_event(NODE_TAIL)] + 64'd1;
        end
        if (port_events_i.in_stalled || port_events_i.back_stalled) begin
          count_q[of_event(NODE_TOKEN_STALL)] <= count_q[of_event(NODE_TOKEN_STALL)] + 64'd1;
        end
        if (port_events_i.no_credit && waiting_i) begin
          count_q[of_event(NODE_CREDIT_STALL)] <= count_q[of_event(NODE_CREDIT_STALL)] + 64'd1;
        end
      end
    end
  end

  assign value_o = 32'(index_i) < NODE_PMU_COUNT ? count_q[index_i] : '0;

endmodule
