// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The memory system's formats: its configuration, which software loads while in reset, and what
// passes between its modules. Times are in clocks, rounded up from ns by software (MEM-03).
package memory_pkg;

  parameter int unsigned MAX_NODES = 8;
  parameter int unsigned MAP_ENTRIES = 8;

  // Geometry of one channel.
  parameter int unsigned RANK_BITS = 1;
  parameter int unsigned GROUP_BITS = 2;
  parameter int unsigned BANK_BITS = 2;
  parameter int unsigned COLUMN_BITS = 4;  // lines of a row: 1 KB
  /* verilator lint_off UNUSEDPARAM */  // what has no memory does not count its banks
  parameter int unsigned RANKS = 1 << RANK_BITS;
  parameter int unsigned GROUPS = 1 << GROUP_BITS;
  parameter int unsigned BANKS = 1 << (RANK_BITS + GROUP_BITS + BANK_BITS);
  /* verilator lint_on UNUSEDPARAM */
  parameter int unsigned LINE_BITS = 42;   // a physical address without the 64-byte offset
  parameter int unsigned ROW_BITS = LINE_BITS - COLUMN_BITS - BANK_BITS - GROUP_BITS - RANK_BITS;

  typedef logic [15:0] clocks_t;
  typedef logic [31:0] instant_t;          // a cycle, modulo 2^32
  typedef logic [LINE_BITS-1:0] line_t;
  typedef logic [RANK_BITS+GROUP_BITS+BANK_BITS-1:0] bank_t;  // rank, group, bank

  // 512 bits: one node.
  typedef struct packed {
    // word 7
    clocks_t     tail_extra;    // tail generator of a slow tier: a request takes that much more
    logic [15:0] tail_chance;   //   with this chance of 65536
    logic [15:0] write_rate;    // bytes of 256 clocks that the port takes; 0: no limit
    logic [15:0] read_rate;     // bytes of 256 clocks that the port gives; 0: no limit
    // word 6
    logic [15:0] rsvd1;
    logic [7:0]  rsvd0;
    logic [7:0]  credits;       // requests that the port may have under way
    clocks_t     port_delay;    // of the port in front of a slow tier, each way
    logic [7:0]  drain_low;     // write drain ends at this many queued writes
    logic [7:0]  drain_high;    //   and begins at this many
    // word 5
    logic [11:0] rsvd2;
    logic        slice;         // the memory-side cache is on
    logic        walks_first;   // descriptor reads and compare-and-swaps have priority
    logic        closed_page;   // close a row after its last queued request
    logic        timed;         // 0: no controller; answers leave as DRAM gives them
    clocks_t     page_timeout;  // an unused row is closed
    clocks_t     write_age;     // a queued write is drained when no read waits
    clocks_t     age_cap;       // a request goes first
    // words 4 to 0
    clocks_t     slice_hit;     // clocks of a hit of the memory-side cache
    clocks_t     rfc;
    clocks_t     refi;
    clocks_t     burst;
    clocks_t     rtp;
    clocks_t     wtr_l;
    clocks_t     wtr_s;
    clocks_t     wr;
    clocks_t     cwl;
    clocks_t     ccd_l;
    clocks_t     ccd_s;
    clocks_t     faw;
    clocks_t     rrd_l;
    clocks_t     rrd_s;
    clocks_t     rc;
    clocks_t     ras;
    clocks_t     rp;
    clocks_t     rcd;
    clocks_t     cl;
    clocks_t     rsvd3;
  } node_config_t;

  // 64 bits: addresses from `base` up to `limit` and all of its 2 MB, in units of 2 MB, belong to the
  // nodes in `nodes`; pages of 4 KB are dealt out to them in turn. Their number is a power of two.
  typedef struct packed {
    logic        valid;
    logic        rsvd;
    logic [7:0]  nodes;
    logic [26:0] limit;
    logic [26:0] base;
  } map_entry_t;

  // 32 bits: the link from one node to another.
  typedef struct packed {
    logic [15:0] burst;  // bytes that may pass at once after a pause
    logic [15:0] rate;   // bytes of 256 clocks; 0: no limit
  } link_config_t;

  // 7232 bits.
  typedef struct packed {
    logic [47:0]  rsvd;
    logic [15:0]  lat_unit;  // clocks of one unit of distance, in sixteenths; 0: links have no delay
    link_config_t [MAX_NODES-1:0][MAX_NODES-1:0] link;  // [from][to]
    map_entry_t   [MAP_ENTRIES-1:0] home;
    logic [MAX_NODES-1:0][MAX_NODES-1:0][7:0] slit;     // [from][to]
    node_config_t [MAX_NODES-1:0] node;
  } memory_config_t;

  // The node that is home to an address, if any is.
  typedef struct packed {
    logic       valid;
    logic [2:0] node;
  } home_t;

  // The first entry that covers the address decides.
  /* verilator lint_off UNUSEDSIGNAL */  // neither the entry nor the turn depends on every bit
  function automatic home_t home_of(logic [35:0] page, map_entry_t [MAP_ENTRIES-1:0] map_entries);
    home_t home;
    logic [7:0] nodes;
    logic [2:0] turn, seen;
    home  = '0;
    nodes = '0;
    for (int i = int'(MAP_ENTRIES) - 1; i >= 0; i--) begin
      if (map_entries[i].valid && page[35:9] >= map_entries[i].base
          && page[35:9] <= map_entries[i].limit) begin
        nodes = map_entries[i].nodes;
      end
    end
    home.valid = nodes != '0;
    turn = page[2:0] & 3'($countones(nodes) - 1);
    seen = '0;
    for (int unsigned n = 0; n < MAX_NODES; n++) begin
      if (nodes[n]) begin
        if (seen == turn) home.node = 3'(n);
        seen += 3'd1;
      end
    end
    return home;
  endfunction
  /* verilator lint_on UNUSEDSIGNAL */

  // A command on the bus of a channel.
  typedef struct packed {
    socket_pkg::dram_command_e kind;
    bank_t                     bank;
    logic [ROW_BITS-1:0]       row;
    logic [COLUMN_BITS-1:0]    column;
    logic                      valid;
  } dram_command_t;

  // The bank of a line. Bank bits are XORed with low row bits, so that rows apart by a power of two
  // do not all meet in one bank.
  typedef struct packed {
    bank_t                  bank;
    logic [ROW_BITS-1:0]    row;
    logic [COLUMN_BITS-1:0] column;
  } location_t;

  // Low to high: column low, bank group, bank, column high, rank, row.
  function automatic location_t locate(line_t line);
    location_t location;
    logic [GROUP_BITS-1:0] group;
    logic [BANK_BITS-1:0] bank;
    location.row = line[LINE_BITS-1-:ROW_BITS];
    group = line[3:2] ^ location.row[1:0];
    bank = line[5:4] ^ location.row[3:2];
    location.column = {line[7:6], line[1:0]};
    location.bank = {line[8], group, bank};
    return location;
  endfunction

endpackage
