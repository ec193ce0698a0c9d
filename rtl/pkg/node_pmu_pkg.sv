// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The event counters of one node, by their index at the socket: a block of eight for each core, a
// histogram of latencies for each node with cores, events of the memory controller, and stalls of
// the links. `cosim/src/dut/node_counter.rs` mirrors this file (docs/spec/memory_system.md, section 7.2).
package node_pmu_pkg;

  /* verilator lint_off UNUSEDPARAM */  // a layout is listed in full

  parameter int unsigned NODE_CORES = 8;     // most cores, of all nodes, that have a block
  parameter int unsigned NODE_SOURCES = 4;   // most nodes with cores
  parameter int unsigned NODE_BUCKETS = 16;  // of a histogram

  // Index 8 * core + this: requests accepted from that core, and their answers.
  typedef enum logic [2:0] {
    NODE_READ,        // data and instruction reads
    NODE_WALK_READ,   // descriptor reads
    NODE_WRITE,
    NODE_SWAP,        // compare-and-swaps of the core and of its walkers
    NODE_BYTES_TO,    // bytes that requests carry, as links charge them
    NODE_BYTES_FROM,  // bytes that answers carry
    NODE_ANSWER,
    NODE_ERROR        // answers that are errors
  } node_core_e;

  // Index 64 + 16 * node + bucket: answers to the cores of that node, by clocks from the request's
  // entry into the link at its source to the answer's exit there: below 2, below 4, and so on.
  parameter int unsigned NODE_LATENCY = 64;

  // Index 128 + this.
  typedef enum logic [4:0] {
    NODE_ROW_HIT,           // READs and WRITEs of a row opened for an earlier one
    NODE_ROW_CLOSED,        // the first READ or WRITE of a row opened in a closed bank
    NODE_ROW_CONFLICT,      // the same after another row was closed for it
    NODE_ACTIVATE,
    NODE_REFRESH,
    NODE_TURNAROUND,        // changes between READs and WRITEs on a channel, which begins with READs
    NODE_REFRESH_WAIT,      // clocks in which a request of the queue being served waited for a refresh
    NODE_AGE_OVERRIDE,      // requests served for their age while others waited
    NODE_READ_FORWARDED,    // reads that a queued write answered
    NODE_WRITE_MERGED,      // writes that joined a queued write
    NODE_READ_QUEUE,        // queued reads, summed over the clocks
    NODE_WRITE_QUEUE,       // queued writes, summed over the clocks
    NODE_READ_QUEUE_MOST,   // most queued reads of a channel
    NODE_WRITE_QUEUE_MOST,  // most queued writes of a channel
    NODE_SLICE_HIT,         // reads that the memory-side cache answered
    NODE_SLICE_MISS,
    NODE_TAIL,              // requests that the tail generator delayed
    NODE_TOKEN_STALL,       // clocks in which the port waited for tokens, either way
    NODE_CREDIT_STALL       // clocks in which a request waited for a credit of the port
  } node_event_e;

  parameter int unsigned NODE_EVENT = 128;

  // Clocks in which something on the link from (to) node i waited for tokens: 160 + i (164 + i).
  parameter int unsigned NODE_REQUEST_STALL = 160;
  parameter int unsigned NODE_ANSWER_STALL = 164;

  parameter int unsigned NODE_PMU_COUNT = 168;

  /* verilator lint_on UNUSEDPARAM */

  // What a memory channel tells in a cycle.
  typedef struct packed {
    logic       row_hit;
    logic       row_closed;
    logic       row_conflict;
    logic       activate;
    logic       refresh;
    logic       turnaround;
    logic       refresh_wait;
    logic       age_override;
    logic       forwarded;
    logic       merged;
    logic [5:0] reads;   // queued
    logic [5:0] writes;
  } channel_events_t;

  // What the controller in front of the channels tells.
  typedef struct packed {
    logic slice_hit;
    logic slice_miss;
    logic tail;
    logic in_stalled;
    logic back_stalled;
    logic no_credit;  // a request that comes now has to wait
  } port_events_t;

endpackage
