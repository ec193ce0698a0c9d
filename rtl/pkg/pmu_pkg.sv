// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The event counters of one core, by their index at the socket. `cosim/src/dut/counter.rs` mirrors
// this list with names and codes (docs/spec/memory_system.md, section 7).
package pmu_pkg;

  typedef enum logic [6:0] {
    // Arm common events.
    PMU_CPU_CYCLES,            // 0x11
    PMU_L1I_TLB_REFILL,        // 0x02
    PMU_L1D_TLB_REFILL,        // 0x05
    PMU_L1D_TLB,               // 0x25
    PMU_L1I_TLB,               // 0x26
    PMU_L2D_TLB_REFILL,        // 0x2D
    PMU_L2D_TLB,               // 0x2F
    PMU_DTLB_WALK,             // 0x34
    PMU_ITLB_WALK,             // 0x35
    PMU_L1D_TLB_REFILL_RD,     // 0x4C
    PMU_L1D_TLB_REFILL_WR,     // 0x4D
    PMU_L1D_TLB_RD,            // 0x4E
    PMU_L1D_TLB_WR,            // 0x4F
    PMU_L2D_TLB_REFILL_RD,     // 0x5C
    PMU_L2D_TLB_REFILL_WR,     // 0x5D
    PMU_L2D_TLB_RD,            // 0x5E
    PMU_L2D_TLB_WR,            // 0x5F
    PMU_DTLB_WALK_PERCYC,      // 0x8128
    PMU_ITLB_WALK_PERCYC,      // 0x8129
    PMU_DTLB_HWUPD,            // 0x8134
    PMU_ITLB_HWUPD,            // 0x8135
    PMU_DTLB_STEP,             // 0x8136
    PMU_ITLB_STEP,             // 0x8137
    PMU_DTLB_WALK_LARGE,       // 0x8138
    PMU_ITLB_WALK_LARGE,       // 0x8139
    PMU_DTLB_WALK_SMALL,       // 0x813A
    PMU_ITLB_WALK_SMALL,       // 0x813B
    PMU_DTLB_WALK_PRFM,        // 0x813E
    PMU_ITLB_WALK_PRFM,        // 0x813F
    PMU_REMOTE_ACCESS,         // 0x31
    PMU_REMOTE_ACCESS_RD,      // 0x38
    PMU_MEM_ACCESS,            // 0x13
    PMU_MEM_ACCESS_RD,         // 0x66
    PMU_MEM_ACCESS_WR,         // 0x67
    PMU_BUS_ACCESS,            // 0x19
    PMU_BUS_ACCESS_RD,         // 0x60
    PMU_BUS_ACCESS_WR,         // 0x61
    PMU_BUS_CYCLES,            // 0x1D
    PMU_MEMORY_ERROR,          // 0x1A
    PMU_TTBR_WRITE_RETIRED,    // 0x1C
    PMU_STALL_BACKEND_MEM,     // 0x4005
    PMU_STALL_BACKEND_TLB,     // 0x8167
    PMU_STALL_FRONTEND_TLB,    // 0x815C
    PMU_EXC_TAKEN,             // 0x09
    PMU_EXC_PABORT,            // 0x83
    PMU_EXC_DABORT,            // 0x84
    // This project's, from 0xC0 up in the order of this list.
    PMU_DTLB_WALK_BEGUN,       // 0xC0 walks of the data side, repeated and prefetch ones included
    PMU_ITLB_WALK_BEGUN,
    PMU_DTLB_WALK_FAULT,       // ended with a fault or error
    PMU_ITLB_WALK_FAULT,
    PMU_DTLB_WALK_CANCELLED,   // by an invalidation
    PMU_ITLB_WALK_CANCELLED,
    PMU_WALK_MERGED,           // accesses that joined a walk under way
    PMU_WALK_CACHE_HIT_L0,     // walks that began below a cached descriptor of that level
    PMU_WALK_CACHE_HIT_L1,
    PMU_WALK_CACHE_HIT_L2,
    PMU_WALK_READ_LOCAL,       // descriptor reads by home
    PMU_WALK_READ_REMOTE,
    PMU_WALK_CYCLES_16,        // walks that took fewer than 16 cycles
    PMU_WALK_CYCLES_32,
    PMU_WALK_CYCLES_64,
    PMU_WALK_CYCLES_128,
    PMU_WALK_CYCLES_256,
    PMU_WALK_CYCLES_512,
    PMU_WALK_CYCLES_1024,
    PMU_WALK_CYCLES_MORE,
    PMU_CONTIGUOUS_FILL,       // first-level fills with a contiguous run
    PMU_CONTIGUOUS_HIT,        // first-level hits on one
    PMU_AF_UPDATE,
    PMU_DIRTY_UPDATE,
    PMU_UPDATE_MISMATCH,       // hardware updates that found another descriptor
    PMU_ETS_REWALK,            // faults looked at again because older accesses were under way
    PMU_TLB_CONFLICT,          // lookups that matched two entries
    PMU_PREFETCH_FILL,
    PMU_PREFETCH_USED,         // prefetched entries that an access hit later
    PMU_DVM_INV_SENT,
    PMU_DVM_SYNC_SENT,
    PMU_DVM_INV_RECEIVED,
    PMU_DVM_SYNC_ANSWERED,
    PMU_DVM_SYNC_WAIT,         // cycles in which a received SYNC waited for older accesses
    PMU_TLB_REMOVED,           // entries removed by invalidations, all structures
    PMU_DSB_WAIT               // cycles in which a DSB waited
  } pmu_e;

  parameter int unsigned PMU_COUNT = 32'(PMU_DSB_WAIT) + 1;

endpackage
