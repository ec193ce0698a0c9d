// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// When a request of the home agent is served: the port of a slow tier, the memory-side cache, and
// the channels with their DRAM timing. It moves no data.
//
// push_i with ready_o in the same cycle; the id comes back once, one cycle of done_o: a read when its
// data would be here, a write when a queue holds it. Ids come back in any order.
module memory_controller
  import memory_pkg::*;
  import node_pmu_pkg::*;
#(
    parameter int unsigned IdBits = 6,
    parameter int unsigned Channels = 2,      // 1 or 2
    parameter int unsigned SliceSetsLog2 = 7,
    parameter int unsigned SliceWays = 8
) (
    input logic clk_i,
    input logic rst_ni,

    input node_config_t config_i,

    input  logic              push_i,
    input  logic              push_write_i,
    input  logic              push_walk_i,
    input  logic [IdBits-1:0] push_id_i,
    input  line_t             push_line_i,
    output logic              ready_o,

    output logic              done_o,
    output logic [IdBits-1:0] done_id_o,

    output dram_command_t [Channels-1:0] command_o,
    output port_events_t port_events_o,
    output channel_events_t [Channels-1:0] channel_events_o
);

  localparam int unsigned Ids = 1 << IdBits;
  typedef logic [IdBits-1:0] id_t;

  typedef struct packed {
    logic  write;
    logic  walk;
    id_t   id;
    line_t line;
  } request_t;

  // ---- the port of a slow tier: credits, delay each way, a bandwidth each way --------------------------

  logic [7:0] under_way_q;
  logic credit;
  assign credit = config_i.port_delay == '0 || under_way_q < config_i.credits;

  // Tail generator: some requests take longer.
  logic [31:0] lfsr_q;
  logic tail;
  clocks_t delay_in;
  assign tail = lfsr_q[15:0] < config_i.tail_chance;
  assign delay_in = config_i.port_delay + (tail ? config_i.tail_extra : '0);

  request_t in, out;
  logic in_ready, out_valid, out_ready;
  assign in = '{write: push_write_i, walk: push_walk_i, id: push_id_i, line: push_line_i};
  assign ready_o = in_ready && credit;

  logic in_stalled, back_stalled;
  delay_link #(
      .Width($bits(request_t)),
      .Depth(32),
      .Direct(1'b0)
  ) u_in (
      .clk_i,
      .rst_ni,
      .delay_i(delay_in),
      .limit_i('{burst: 16'd256, rate: config_i.write_rate}),
      .valid_i(push_i && credit),
      .payload_i(in),
      .bytes_i(push_write_i ? 7'd64 : 7'd0),
      .ready_o(in_ready),
      .valid_o(out_valid),
      .payload_o(out),
      .ready_i(out_ready),
      .stalled_o(in_stalled)
  );

  // ---- memory-side cache and channels ------------------------------------------------------------------

  logic hit, fill;
  line_t fill_line;
  logic [Channels-1:0] chosen, read_ready, write_ready, channel_done;
  id_t [Channels-1:0] channel_id;
  line_t channel_line;

  assign channel_line = Channels > 1 ? out.line >> 1 : out.line;
  always_comb begin
    chosen = '0;
    chosen[Channels > 1 ? 32'(out.line[0]) : 0] = 1'b1;
  end

  memory_slice #(
      .SetsLog2(SliceSetsLog2),
      .Ways(SliceWays)
  ) u_slice (
      .clk_i,
      .rst_ni,
      .lookup_i(config_i.slice && out_valid),
      .line_i(out.line),
      .hit_o(hit),
      .fill_i(fill),
      .fill_line_i(fill_line)
  );

  logic to_channel, serve_hit, room;
  assign to_channel = out_valid && (out.write || !hit);
  assign serve_hit  = out_valid && !out.write && hit;
  assign room = |(chosen & (out.write ? write_ready : read_ready));
  assign out_ready = to_channel ? room : 1'b1;

  for (genvar c = 0; c < Channels; c++) begin : gen_channel
    dram_channel #(
        .IdBits(IdBits)
    ) u_channel (
        .clk_i,
        .rst_ni,
        .timing_i(config_i),
        .push_i(to_channel && chosen[c]),
        .push_write_i(out.write),
        .push_walk_i(out.walk),
        .push_id_i(out.id),
        .push_line_i(channel_line),
        .read_ready_o(read_ready[c]),
        .write_ready_o(write_ready[c]),
        .done_o(channel_done[c]),
        .done_id_o(channel_id[c]),
        .command_o(command_o[c]),
        .events_o(channel_events_o[c])
    );
  end

  // ---- what is done ------------------------------------------------------------------------------------

  line_t line_q[Ids];  // of reads under way, to fill the cache
  logic [Ids-1:0] done_q, done_d, picked;
  id_t next_q, pick, hit_id_q;
  logic hit_done, any;

  // Hits come back after a delay of their own, in order.
  logic hit_ready, hit_stalled;
  delay_link #(
      .Width(IdBits),
      .Depth(Ids)
  ) u_hits (
      .clk_i,
      .rst_ni,
      .delay_i(config_i.slice_hit),
      .limit_i('0),
      .valid_i(serve_hit),
      .payload_i(out.id),
      .bytes_i('0),
      .ready_o(hit_ready),
      .valid_o(hit_done),
      .payload_o(hit_id_q),
      .ready_i(1'b1),
      .stalled_o(hit_stalled)
  );

  always_comb begin
    done_d = done_q;
    for (int unsigned c = 0; c < Channels; c++) if (channel_done[c]) done_d[channel_id[c]] = 1'b1;
    if (hit_done) done_d[hit_id_q] = 1'b1;
    if (to_channel && room && out.write) done_d[out.id] = 1'b1;
  end

  // The first one from next_q on, so that none waits for ever.
  logic [Ids-1:0] from_next;
  assign from_next = done_d & ~((Ids'(1) << next_q) - Ids'(1));
  assign picked = from_next != '0 ? from_next & -from_next : done_d & -done_d;
  assign any = done_d != '0;
  always_comb begin
    pick = '0;
    if (any) for (int unsigned i = 0; i < Ids; i++) if (picked[i]) pick |= id_t'(i);
  end

  assign fill = config_i.slice && channel_done != '0;
  assign fill_line = line_q[channel_done[0] ? channel_id[0] : channel_id[Channels-1]];

  logic back_ready;
  logic [Ids-1:0] is_write_q;
  delay_link #(
      .Width(IdBits),
      .Depth(32)
  ) u_back (
      .clk_i,
      .rst_ni,
      .delay_i(config_i.port_delay),
      .limit_i('{burst: 16'd256, rate: config_i.read_rate}),
      .valid_i(any),
      .payload_i(pick),
      .bytes_i(is_write_q[pick] ? 7'd0 : 7'd64),
      .ready_o(back_ready),
      .valid_o(done_o),
      .payload_o(done_id_o),
      .ready_i(1'b1),
      .stalled_o(back_stalled)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      done_q <= '0;
      next_q <= '0;
      under_way_q <= '0;
      is_write_q <= '0;
      lfsr_q <= 32'h5eed_1234;
    end else if (push_i || under_way_q != '0) begin
      if (push_i && ready_o) begin
        line_q[push_id_i] <= push_line_i;
        is_write_q[push_id_i] <= push_write_i;
        lfsr_q <= {lfsr_q[30:0], lfsr_q[31] ^ lfsr_q[21] ^ lfsr_q[1] ^ lfsr_q[0]};
      end
      done_q <= any && back_ready ? done_d & ~picked : done_d;
      if (any && back_ready) next_q <= pick + id_t'(1);
      under_way_q <= under_way_q + 8'(push_i && ready_o) - 8'(done_o);
    end
  end

  assign port_events_o = '{
    slice_hit: serve_hit,
    slice_miss: config_i.slice && to_channel && !out.write && room,
    tail: push_i && ready_o && tail,
    in_stalled: in_stalled,
    back_stalled: back_stalled,
    no_credit: !credit
  };

  logic unused;
  assign unused = ^{hit_stalled, hit_ready};

endmodule
