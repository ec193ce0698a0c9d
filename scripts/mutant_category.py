# Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
"""Which part of the MMU's work a place in the RTL belongs to, and which places are left out."""

import re

# What each category is about, in the order of the table.
CATEGORIES = {
    "match": "which entry or table serves an address",
    "fill": "what is kept, and when",
    "replacement": "which entry makes room",
    "walk": "where a walk begins, what it reads, who shares it",
    "permission": "rights and memory attributes",
    "fault-priority": "which fault is reported, with which syndrome",
    "af-dirty": "hardware updates of the access flag and the dirty state",
    "tlbi-scope": "what an invalidation names and removes",
    "contiguous": "sizes of entries and runs",
    "squash": "what an invalidation or a younger look makes void",
    "dsb-dvm": "barriers and messages between cores",
    "ordering": "the order of accesses on their way to memory and back",
    "counters": "the event counters",
}

# The first rule that fits decides: module or package, the block around the place (the target of a
# continuous assignment, `function:NAME`, `instance:NAME`, or the targets of a procedural block), the
# text of the statement and of the conditions above it.
RULES = [
    ("vmsa_pkg", r"function:(run_bits|block_allowed)", "", "contiguous"),
    ("vmsa_pkg", r"function:(check_permission|is_device|resolve_attr|resolve_sh)", "", "permission"),
    ("vmsa_pkg", r"function:(txsz_legal|beyond_output_size|fsc_at)", "", "fault-priority"),
    ("vmsa_pkg", r"function:current_asid", "", "match"),
    ("vmsa_pkg", "", "", "walk"),
    ("tlb_pkg", r"function:names", "", "tlbi-scope"),
    ("tlb_pkg", "", "", "contiguous"),
    ("access_pkg", r"function:(is_unaligned|access_of|translates)", "", "fault-priority"),
    ("access_pkg|bus_pkg", "", "", "ordering"),
    ("l1_tlb|l2_tlb|walk_cache", "removed|count", r"removed_o|count_d|removed \+=", "counters"),
    ("l1_tlb", r"remove|live_q", r"inv_valid_i\)|names", "tlbi-scope"),
    ("l1_tlb", r"hit_o", "", "match"),
    ("l1_tlb", r"", r"victim =|turn_q <=", "replacement"),
    ("l1_tlb", r"", r"", "fill"),
    ("l2_tlb", r"victim|any_free", r"victim|any_free|turn_q", "replacement"),
    ("l2_tlb", r"", r"turn_q <=", "replacement"),
    ("l2_tlb", r"function:(span_of|set_of|next_size)|^first$|^next$|last_set", "", "contiguous"),
    ("l2_tlb", r"function:sizes_of|page_|one_page|any_present|named", r"named|names|page_|sizes_of|any_present|one_page", "tlbi-scope"),
    ("l2_tlb", r"", r"inv_ready_o|PAGE_|SWEEP|sweep|swept|inv_done_o|inv_q", "tlbi-scope"),
    ("l2_tlb", r"state_d|hit_o|ready_o", r"inv_valid_i", "squash"),
    ("l2_tlb", r"", r"FILL|fill|present_q", "fill"),
    ("l2_tlb", "", "", "match"),
    ("l2_way", "", "", "fill"),
    ("walk_cache", r"", r"names|last_level", "tlbi-scope"),
    ("walk_cache", r"", r"victim|turn_q", "replacement"),
    ("walk_cache", r"", r"fill_", "fill"),
    ("walk_cache", "", "", "match"),
    ("leaf_decode", r"run|lsb|^oa$|entry_oa|span", r"", "contiguous"),
    ("leaf_decode", r"", r"is_run|span:", "contiguous"),
    ("leaf_decode", r"dbm|set_af|set_dirty|update|^writes$", r"dbm|set_af|set_dirty|update|writes ", "af-dirty"),
    ("leaf_decode", r"rsp_o", r"set_af|set_dirty|dry", "af-dirty"),
    ("leaf_decode", r"rsp_o", r"", "fault-priority"),
    ("leaf_decode", "", "", "permission"),
    ("walk_setup", r"too_big", "", "fault-priority"),
    ("walk_setup", "", "", "walk"),
    ("walker", r"view_o", r"step_af|step_dirty|step_swapped|end_cycles|active|cancelled", "counters"),
    ("walker", r"view_o", "", None),
    ("walker", r"", r"cancel|stale|concerned|shield|pending", "squash"),
    ("walker", r"^h[ad]$", "", "af-dirty"),
    ("walker", r"", r"VERIFY|SWAP|swap|MEM_CAS|leaf_update", "af-dirty"),
    ("walker", r"next_limits", "", "permission"),
    ("walker", r"", r"fault_rsp|error|beyond", "fault-priority"),
    ("walker", r"wc_|u_walk_cache", r"wc_", "fill"),
    ("walker", "", "", "walk"),
    ("va_check", "", "", "fault-priority"),
    ("leaf_use", r"pa_o", "", "contiguous"),
    ("leaf_use", "", "", "permission"),
    ("access_unit", r"events_o|counts", "", "counters"),
    ("access_unit", r"", r"again|early|inv_i|old", "squash"),
    ("access_unit", r"lookup_key|itlb_lookup|dtlb_lookup|hit", "", "match"),
    ("access_unit", r"clean_write|probe|dry", "", "af-dirty"),
    ("access_unit", r"", r"rsp_fault|rsp_fsc|rsp_wnr|fsc|fault|misaligned|unaligned", "fault-priority"),
    ("access_unit", r"", r"operation|accesses_done", "dsb-dvm"),
    ("access_unit", "", "", "ordering"),
    ("miss_queue", r"walked_o|refill_o|walked_instr|walked_q", r"walked|refill", "counters"),
    ("miss_queue", r"", r"again|HELD|early|old|inv_i|stop", "squash"),
    ("miss_queue", r"collides|empty|full|older|leaving|alloc", "", "ordering"),
    ("miss_queue", "", "", "walk"),
    ("miss_unit", r"l2_lookup_o|prefetched_o|joined_o", "", "counters"),
    ("miss_unit", r"", r"inv_valid_i|l2_busy|quiesce|shield", "squash"),
    ("miss_unit", r"", r"fill_q|cacheable", "fill"),
    ("miss_unit", r"lookup|in_range", "", "match"),
    ("miss_unit", "", "", "walk"),
    ("mmu", r"u_view", "", "counters"),
    ("mmu", r"fill|u_[id]tlb", "", "fill"),
    ("mmu", r"asid", "", "match"),
    ("mmu", r"clear", "", "dsb-dvm"),
    ("mmu", "", "", "match"),
    ("mmu_regs", "", "", "walk"),
    ("tlbi_decode", "", "", "tlbi-scope"),
    ("operation_unit", r"inv_|effective|local_wanted", r"", "tlbi-scope"),
    ("operation_unit|dvm_port|dvm_distributor", "", "", "dsb-dvm"),
    ("response_lane", "", "", "fault-priority"),
    ("pmu", "", "", "counters"),
    # The observation lane shows, it decides nothing; every checker hangs on it.
    ("mmu_view", r"obs_|active_q", "", None),
    ("mmu_view", r"any|function:(extended|walk_event)", "", None),
    ("mmu_view", "", "", "counters"),
    # Injects delays for tests.
    ("delay_source", "", "", None),
    ("socket", r"info_o|strap_q|memory_q|command_o|node_value_o", "", None),
    # What decides only when something happens has checks of its own (MEM-01, NOC-01), which need
    # memory with timing; the regression of the mutants runs without.
    (r"dram_\w+|memory_controller|memory_slice|delay_link|node_counters|node_pmu_pkg", "", "", None),
    ("memory_pkg", r"function:locate", "", None),
    ("memory_system", r"delay|reachable|distance|function:(link_delay|hops)", "", None),
    ("home_agent", r"time_|timed|over|from_next|picked|pick|next_q|any", r"timed_i|silent|time_", None),
    ("dvm_links", r"delay", "", None),
    ("dvm_links", "", "", "dsb-dvm"),
    ("home_agent", r"", r"cas|CAS|equal|old_q", "af-dirty"),
    ("home_agent|turn_arbiter|response_merge|memory_system|memory_pkg|data_port|request_inbox|socket", "", "", "ordering"),
]


def category(module: str, block: str, text: str) -> str | None:
    """The category of a place; None where faults say nothing about the MMU."""
    for modules, blocks, texts, name in RULES:
        if re.fullmatch(modules, module) and re.search(blocks, block) and re.search(texts, text):
            return name
    raise SystemExit(f"no rule gives a category to {module}, block {block}: {text}")
