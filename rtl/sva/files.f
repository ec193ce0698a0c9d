sva/sva_pkg.sv
sva/l1_tlb_sva.sv
sva/walker_sva.sv
sva/access_unit_sva.sv
sva/home_agent_sva.sv
sva/request_inbox_sva.sv
