// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The event counters of one core. An event counts one cycle after it happens; reading has no effect
// (PMU-08).
//
// An event that happens at most once a cycle counts in a low part, and one low part a cycle is added
// to its total in memory and starts anew, in turn: it need only hold what comes in one turn. The low
// parts are held by planes, bit 0 of all of them, bit 1 of all of them, and so on.
// Latency: the value of index_i stands in the same cycle.
module pmu
  import pmu_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic [PMU_COUNT-1:0] event_i,         // events that happen at most once a cycle
    input logic [2:0]           walks_data_i,    // walks under way
    input logic [2:0]           walks_instr_i,
    input logic [2:0]           cancelled_data_i,
    input logic [2:0]           cancelled_instr_i,
    input logic [1:0]           bus_rd_i,        // requests that leave the core
    input logic [1:0]           bus_wr_i,
    input logic [1:0]           errors_i,        // error responses
    input logic [15:0]          removed_i,       // TLB entries removed

    input  logic [7:0]  index_i,
    output logic [63:0] value_o
);

  localparam int unsigned LowBits = 7;  // PMU_COUNT cycles a turn
  typedef logic [PMU_COUNT-1:0] plane_t;
  typedef logic [6:0] index_t;

  plane_t plane_q[LowBits];
  plane_t plane_d[LowBits];
  logic [63:0] total_q[128];
  index_t turn_q;
  logic first_q;   // in the first turn totals from turn_q on hold nothing yet
  plane_t event_q;

  function automatic logic [LowBits-1:0] low(index_t counter);
    for (int unsigned b = 0; b < LowBits; b++) low[b] = plane_q[b][counter];
  endfunction

  logic [63:0] total;
  assign total = first_q ? '0 : total_q[turn_q];

  always_comb begin
    plane_t carry, kept;
    kept = ~(plane_t'(1) << turn_q);
    carry = event_q;
    for (int unsigned b = 0; b < LowBits; b++) begin
      plane_d[b] = (plane_q[b] & kept) ^ carry;
      carry = plane_q[b] & kept & carry;
    end
  end

  always_ff @(posedge clk_i) begin
    total_q[turn_q] <= total + 64'(low(turn_q));
    if (!rst_ni) begin
      plane_q <= '{default: '0};
      turn_q <= '0;
      first_q <= 1'b1;
      event_q <= '0;
    end else begin
      plane_q <= plane_d;
      turn_q <= turn_q == index_t'(PMU_COUNT - 1) ? '0 : turn_q + index_t'(1);
      if (turn_q == index_t'(PMU_COUNT - 1)) first_q <= 1'b0;
      event_q <= event_i;
    end
  end

  // ---- what may happen several times a cycle --------------------------------------------------

  logic [63:0] cycles_q, bus_rd_count_q, bus_wr_count_q, walks_data_count_q, walks_instr_count_q;
  logic [63:0] cancelled_data_count_q, cancelled_instr_count_q, errors_count_q, removed_count_q;
  logic [2:0] walks_data_q, walks_instr_q, cancelled_data_q, cancelled_instr_q;
  logic [15:0] removed_q;
  logic [1:0] bus_rd_q, bus_wr_q, errors_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      cycles_q <= '0;
      bus_rd_count_q <= '0;
      bus_wr_count_q <= '0;
      walks_data_count_q <= '0;
      walks_instr_count_q <= '0;
      cancelled_data_count_q <= '0;
      cancelled_instr_count_q <= '0;
      errors_count_q <= '0;
      removed_count_q <= '0;
      walks_data_q <= '0;
      walks_instr_q <= '0;
      cancelled_data_q <= '0;
      cancelled_instr_q <= '0;
      removed_q <= '0;
      bus_rd_q <= '0;
      bus_wr_q <= '0;
      errors_q <= '0;
    end else begin
      cycles_q <= cycles_q + 64'd1;
      walks_data_q <= walks_data_i;
      walks_instr_q <= walks_instr_i;
      cancelled_data_q <= cancelled_data_i;
      cancelled_instr_q <= cancelled_instr_i;
      removed_q <= removed_i;
      bus_rd_q <= bus_rd_i;
      bus_wr_q <= bus_wr_i;
      errors_q <= errors_i;
      bus_rd_count_q <= bus_rd_count_q + 64'(bus_rd_q);
      bus_wr_count_q <= bus_wr_count_q + 64'(bus_wr_q);
      walks_data_count_q <= walks_data_count_q + 64'(walks_data_q);
      walks_instr_count_q <= walks_instr_count_q + 64'(walks_instr_q);
      cancelled_data_count_q <= cancelled_data_count_q + 64'(cancelled_data_q);
      cancelled_instr_count_q <= cancelled_instr_count_q + 64'(cancelled_instr_q);
      errors_count_q <= errors_count_q + 64'(errors_q);
      removed_count_q <= removed_count_q + 64'(removed_q);
    end
  end

  index_t index;
  assign index = index_i[6:0];
  always_comb begin
    value_o = '0;
    if (!index_i[7] && 32'(index) < PMU_COUNT) begin
      unique case (index)
        PMU_CPU_CYCLES, PMU_BUS_CYCLES: value_o = cycles_q;
        PMU_BUS_ACCESS: value_o = bus_rd_count_q + bus_wr_count_q;
        PMU_BUS_ACCESS_RD: value_o = bus_rd_count_q;
        PMU_BUS_ACCESS_WR: value_o = bus_wr_count_q;
        PMU_DTLB_WALK_PERCYC: value_o = walks_data_count_q;
        PMU_ITLB_WALK_PERCYC: value_o = walks_instr_count_q;
        PMU_DTLB_WALK_CANCELLED: value_o = cancelled_data_count_q;
        PMU_ITLB_WALK_CANCELLED: value_o = cancelled_instr_count_q;
        PMU_MEMORY_ERROR: value_o = errors_count_q;
        PMU_TLB_REMOVED: value_o = removed_count_q;
        default: value_o = (first_q && index >= turn_q ? '0 : total_q[index]) + 64'(low(index));
      endcase
    end
  end

endmodule
