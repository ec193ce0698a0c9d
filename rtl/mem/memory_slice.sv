// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The tags of a memory-side cache: which lines of this node's memory it holds. Writes go through to
// memory and allocate nothing, so that a line held is never newer than memory.
//
// hit_o is combinational from line_i. fill_i takes effect in the next cycle, over the oldest fill of
// the set.
module memory_slice
  import memory_pkg::*;
#(
    parameter int unsigned SetsLog2 = 7,
    parameter int unsigned Ways = 8
) (
    input logic clk_i,
    input logic rst_ni,

    input  logic  lookup_i,
    input  line_t line_i,
    output logic  hit_o,

    input logic  fill_i,
    input line_t fill_line_i
);

  localparam int unsigned Sets = 1 << SetsLog2;
  localparam int unsigned TagBits = LINE_BITS - SetsLog2;
  typedef logic [SetsLog2-1:0] set_t;
  typedef logic [TagBits-1:0] tag_t;
  typedef logic [$clog2(Ways)-1:0] way_t;

  tag_t tag_q[Sets][Ways];
  logic [Sets-1:0][Ways-1:0] live_q;
  way_t [Sets-1:0] next_q;

  set_t fill_set;
  assign fill_set = fill_line_i[SetsLog2-1:0];

  function automatic logic holds(line_t line);
    logic found;
    found = 1'b0;
    for (int unsigned w = 0; w < Ways; w++) begin
      if (live_q[line[SetsLog2-1:0]][w] && tag_q[line[SetsLog2-1:0]][w] == line[LINE_BITS-1:SetsLog2]) begin
        found = 1'b1;
      end
    end
    return found;
  endfunction

  // Two misses of one line may be under way at once.
  logic held;
  always_comb begin
    hit_o = 1'b0;
    held  = 1'b0;
    if (lookup_i) hit_o = holds(line_i);
    if (fill_i) held = holds(fill_line_i);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      live_q <= '0;
      next_q <= '0;
    end else if (fill_i && !held) begin
      live_q[fill_set][next_q[fill_set]] <= 1'b1;
      tag_q[fill_set][next_q[fill_set]] <= fill_line_i[LINE_BITS-1:SetsLog2];
      next_q[fill_set] <= next_q[fill_set] == way_t'(Ways - 1) ? '0 : next_q[fill_set] + way_t'(1);
    end
  end

endmodule
