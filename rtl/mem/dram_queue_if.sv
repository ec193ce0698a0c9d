// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What a queue of a memory channel shows: its requests, oldest first. An interface, because ports of
// arrays are copies, in every cycle.
interface dram_queue_if
  import dram_pkg::*;
  import memory_pkg::*;
#(
    parameter int unsigned Entries = 32
);

  queued_t entry_q[Entries];
  logic [$clog2(Entries+1)-1:0] count_q;
  instant_t oldest;  // when the first came

  modport queue(output entry_q, count_q, oldest);
  modport choice(input entry_q, count_q, oldest);

endinterface
