// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The registers under which a scenario runs, and the operands of its instructions.

use std::rc::Rc;

use vmsa::VaRange::{Lower, Upper};
use vmsa::{Descriptor, Granule, Mair, Sctlr, SysReg, Tcr, Tlbi, TlbiOp, Ttbr};

use super::layout::Layout;
use crate::dut::ports::CoreRequest;
use crate::litmus::scenario::{Invalidate, Operation, Page, Physical, Place, Scenario};
use crate::sim::CoreHandle;

/// A loaded scenario, as its cores see it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Where everything lies.
    pub layout: Rc<Layout>,
    asids: Vec<u16>,
    tcr: Tcr,
    a1: bool,
}

impl Machine {
    /// The machine of `scenario`, which lies as `layout` says.
    ///
    /// # Errors
    /// What the scenario asks that no operand can say.
    pub fn new(scenario: &Scenario, layout: Layout) -> Result<Self, String> {
        for instruction in scenario.cores.iter().flatten() {
            if let Operation::Tlbi(invalidate) = &instruction.operation {
                scale(invalidate).ok_or_else(|| {
                    format!(
                        "`{}`: no SCALE and NUM say {} pages",
                        instruction.text, invalidate.pages
                    )
                })?;
            }
        }
        let setup = &scenario.setup;
        let mut tcr = Tcr(0)
            .with_ips(5)
            .with_asid16(true)
            .with_ha(setup.ha || setup.hd)
            .with_hd(setup.hd)
            .with_a1(setup.a1);
        for range in [Lower, Upper] {
            tcr = tcr
                .with_tsz(range, 16)
                .with_granule(range, Granule::K4)
                .with_irgn(range, 1)
                .with_orgn(range, 1)
                .with_sh(range, 3);
        }
        Ok(Self {
            layout: Rc::new(layout),
            asids: setup.asids.clone(),
            tcr,
            a1: setup.a1,
        })
    }

    /// Writes every register of `core` as at first, and synchronises.
    pub async fn enter(&self, core: &CoreHandle) {
        let upper = Ttbr::new(
            if self.a1 { self.asid(0) } else { 0 },
            self.layout.upper_root(),
        );
        let values = [
            self.space(0, None),
            (SysReg::Ttbr1, upper.0),
            (SysReg::Tcr, self.tcr.0),
            (SysReg::Mair, Mair(0).with_attr(0, Mair::NORMAL_WB).0),
            (
                SysReg::Sctlr,
                Sctlr(0).with_m(true).with_c(true).with_i(true).0,
            ),
        ];
        for (register, value) in values {
            core.access(CoreRequest::msr(register, value)).await;
        }
        core.access(CoreRequest::isb()).await;
    }

    /// The write that makes address space `space` current.
    #[must_use]
    pub fn space(&self, space: usize, asid: Option<u16>) -> (SysReg, u64) {
        let asid = asid.unwrap_or_else(|| self.asid(space));
        (SysReg::Ttbr0, Ttbr::new(asid, self.layout.root(space)).0)
    }

    /// The write that disables walks of the lower range, or enables them.
    #[must_use]
    pub fn epd0(&self, disabled: bool) -> (SysReg, u64) {
        (SysReg::Tcr, self.tcr.with_epd(Lower, disabled).0)
    }

    fn asid(&self, space: usize) -> u16 {
        self.asids.get(space).copied().unwrap_or(0)
    }

    /// The operation with its operand.
    #[must_use]
    pub fn tlbi(&self, invalidate: &Invalidate) -> Tlbi {
        use TlbiOp::*;
        let Invalidate { op, scope, .. } = *invalidate;
        let asid = invalidate.asid.unwrap_or_else(|| self.asid(0));
        let va = invalidate
            .page
            .as_ref()
            .map_or(0, |page| self.layout.va(page));
        let level = invalidate.level;
        let leaf = level.map(|level| (Granule::K4, level));
        let granule = match invalidate.other_granule {
            true => Granule::K16,
            false => Granule::K4,
        };
        let (by_scale, num) = scale(invalidate).unwrap_or((0, 0));
        match op {
            Vmalle1 => Tlbi::vmalle1(scope),
            Aside1 => Tlbi::aside1(scope, asid),
            Vae1 => Tlbi::vae1(scope, va, asid, leaf),
            Vale1 => Tlbi::vale1(scope, va, asid, leaf),
            Vaae1 => Tlbi::vaae1(scope, va, leaf),
            Vaale1 => Tlbi::vaale1(scope, va, leaf),
            Rvae1 => Tlbi::rvae1(scope, granule, va, by_scale, num, level, asid),
            Rvale1 => Tlbi::rvale1(scope, granule, va, by_scale, num, level, asid),
            Rvaae1 => Tlbi::rvaae1(scope, granule, va, by_scale, num, level),
            Rvaale1 => Tlbi::rvaale1(scope, granule, va, by_scale, num, level),
        }
    }

    /// What a place holds at first, if it is what its variable maps at first.
    #[must_use]
    pub fn first_word(&self, place: &Place) -> u64 {
        match place {
            Place::Descriptor(slot) => self.layout.word(self.layout.slot(slot)),
            Place::Data(page) => self.layout.word(self.layout.word_at(&Physical {
                area: page.variable.clone(),
                page: page.page,
            })),
        }
    }

    /// The leaf that translates `page` in the first address space at first, and the physical address
    /// of the page; `None` if there is none.
    #[must_use]
    pub fn first_leaf(&self, page: &Page) -> Option<(Descriptor, u64)> {
        let slot = |table| crate::litmus::scenario::Slot {
            page: page.clone(),
            space: 0,
            table,
        };
        let word = |table| Descriptor(self.layout.word(self.layout.slot(&slot(table))));
        let table = word(true);
        if !table.valid() {
            return None;
        }
        let va = self.layout.va(page);
        if !table.is_table_bit() {
            let offset = va & ((1 << 21) - 1);
            return Some((table, table.output_address(Granule::K4, 2) + offset));
        }
        let leaf = word(false);
        leaf.valid()
            .then(|| (leaf, leaf.output_address(Granule::K4, 3)))
    }
}

/// SCALE and NUM of a range; `None` if no pair says its length.
fn scale(invalidate: &Invalidate) -> Option<(u8, u8)> {
    if !invalidate.op.is_range() {
        return Some((0, 0));
    }
    let pages = u64::from(invalidate.pages);
    (0..4).find_map(|scale| {
        let unit = 1 << (5 * scale + 1);
        let num = (pages / unit).checked_sub(1)?;
        (pages % unit == 0 && num < 32).then_some((scale as u8, num as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmsa::TlbiScope;

    fn range(pages: u32) -> Invalidate {
        Invalidate {
            op: TlbiOp::Rvae1,
            scope: TlbiScope::InnerShareable,
            page: None,
            pages,
            asid: None,
            level: None,
            other_granule: false,
        }
    }

    #[test]
    fn a_range_is_said_exactly_or_not_at_all() {
        for pages in 1..=2048 {
            match scale(&range(pages)) {
                Some((scale, num)) => {
                    let said = (u32::from(num) + 1) << (5 * u32::from(scale) + 1);
                    assert_eq!(said, pages);
                }
                None => assert!(pages % 2 == 1 || pages > 64 && pages % 64 != 0, "{pages}"),
            }
        }
        assert_eq!(scale(&range(192)), Some((1, 2)));
    }
}
