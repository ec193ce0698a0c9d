// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The open rows of a memory channel, and the first cycle in which a command of each kind may go. An
// interface, because ports of arrays are copies, in every cycle.
interface dram_banks_if
  import dram_pkg::*;
  import memory_pkg::*;
();

  logic [BANKS-1:0] open_q;
  logic [ROW_BITS-1:0] row_q[BANKS];
  instant_t used_q[BANKS];  // last use of the open row

  // ACTIVATE: of a bank, a group, a rank; and tFAW after each of the last four of a rank, of which
  // four_next_q is the oldest.
  instant_t act_at_q[BANKS], group_act_at_q[RANKS*GROUPS], rank_act_at_q[RANKS];
  instant_t four_at_q[RANKS][4];
  logic [1:0] four_next_q[RANKS];
  // PRECHARGE.
  instant_t pre_at_q[BANKS];
  // READ and WRITE: of a bank since its ACTIVATE, of a group, of any.
  instant_t col_at_q[BANKS];
  instant_t group_read_at_q[RANKS*GROUPS], group_write_at_q[RANKS*GROUPS];
  instant_t read_at_q, write_at_q;
  instant_t busy_until_q[RANKS];  // with a refresh

  modport banks(
      output open_q, row_q, used_q, act_at_q, group_act_at_q, rank_act_at_q, four_at_q, four_next_q,
      output pre_at_q, col_at_q, group_read_at_q, group_write_at_q, read_at_q, write_at_q, busy_until_q
  );
  modport choice(
      input open_q, row_q, used_q, act_at_q, group_act_at_q, rank_act_at_q, four_at_q, four_next_q,
      input pre_at_q, col_at_q, group_read_at_q, group_write_at_q, read_at_q, write_at_q, busy_until_q
  );

endinterface
