// Place and route only: the MMU behind four pins (scripts/pnr).
pnr/mmu_pnr.sv
