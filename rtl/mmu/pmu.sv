// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The event counters of one core. An event counts one cycle after it happens; reading has no effect
// (PMU-08).
//
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
    input logic [15:0]          removed_i,       // TLB entries removed

    input  logic [7:0]  index_i,
    output logic [63:0] value_o
);

  logic [63:0] count_q[PMU_COUNT];
  logic [PMU_COUNT-1:0] event_q;
  logic [2:0] walks_data_q, walks_instr_q, cancelled_data_q, cancelled_instr_q;
  logic [15:0] removed_q;
  logic [1:0] bus_rd_q, bus_wr_q;
  logic [63:0] cycles_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      // Two loops in one: Verilator unrolls a loop over an array up to 64 times.
      for (int unsigned g = 0; g < PMU_COUNT; g += 32) begin
        for (int unsigned i = 0; i < 32; i++) if (g + i < PMU_COUNT) count_q[g+i] <= '0;
      end
      event_q <= '0;
      walks_data_q <= '0;
      walks_instr_q <= '0;
      cancelled_data_q <= '0;
      cancelled_instr_q <= '0;
      removed_q <= '0;
      bus_rd_q <= '0;
      bus_wr_q <= '0;
      cycles_q <= '0;
    end else begin
      cycles_q <= cycles_q + 64'd1;
      event_q <= event_i;
      walks_data_q <= walks_data_i;
      walks_instr_q <= walks_instr_i;
      cancelled_data_q <= cancelled_data_i;
      cancelled_instr_q <= cancelled_instr_i;
      removed_q <= removed_i;
      bus_rd_q <= bus_rd_i;
      bus_wr_q <= bus_wr_i;
      if (bus_rd_q != '0 || bus_wr_q != '0) begin
        count_q[PMU_BUS_ACCESS] <= count_q[PMU_BUS_ACCESS] + 64'(bus_rd_q) + 64'(bus_wr_q);
        count_q[PMU_BUS_ACCESS_RD] <= count_q[PMU_BUS_ACCESS_RD] + 64'(bus_rd_q);
        count_q[PMU_BUS_ACCESS_WR] <= count_q[PMU_BUS_ACCESS_WR] + 64'(bus_wr_q);
      end
      if (event_q != '0) begin
        for (int unsigned g = 0; g < PMU_COUNT; g += 32) begin
          for (int unsigned i = 0; i < 32; i++) begin
            if (g + i < PMU_COUNT) if (event_q[g+i]) count_q[g+i] <= count_q[g+i] + 64'd1;
          end
        end
      end
      if (walks_data_q != '0) begin
        count_q[PMU_DTLB_WALK_PERCYC] <= count_q[PMU_DTLB_WALK_PERCYC] + 64'(walks_data_q);
      end
      if (walks_instr_q != '0) begin
        count_q[PMU_ITLB_WALK_PERCYC] <= count_q[PMU_ITLB_WALK_PERCYC] + 64'(walks_instr_q);
      end
      if (cancelled_data_q != '0) begin
        count_q[PMU_DTLB_WALK_CANCELLED] <= count_q[PMU_DTLB_WALK_CANCELLED] + 64'(cancelled_data_q);
      end
      if (cancelled_instr_q != '0) begin
        count_q[PMU_ITLB_WALK_CANCELLED] <= count_q[PMU_ITLB_WALK_CANCELLED] + 64'(cancelled_instr_q);
      end
      if (removed_q != '0) count_q[PMU_TLB_REMOVED] <= count_q[PMU_TLB_REMOVED] + 64'(removed_q);
    end
  end

  always_comb begin
    if (index_i[6:0] inside {PMU_CPU_CYCLES, PMU_BUS_CYCLES} && !index_i[7]) value_o = cycles_q;
    else if (32'(index_i) < PMU_COUNT) value_o = count_q[index_i[6:0]];
    else value_o = '0;
  end

endmodule
