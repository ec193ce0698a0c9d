// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What was measured beside what the published series says of contiguous mappings (contpte section 10).

use cosim::experiment::Table;

use super::calls::{Call, Cost, Form, find};
use super::sweep::Curve;

/// One row a published figure.
pub fn table(curves: &[Curve], calls: &[Call]) -> Table {
    let mut table = Table::new(
        "Beside published figures",
        1,
        &["what", "published", "measured", "difference"],
    );
    let mut row = |what: &str, published: &str, measured: Option<String>, why: &str| {
        table.rows.push(vec![
            what.to_owned(),
            published.to_owned(),
            measured.unwrap_or_else(|| "-".to_owned()),
            why.to_owned(),
        ]);
    };
    row(
        "fork, entry by entry, of no contpte",
        "about 19x",
        ratio(calls, Form::Single, |call| call.fork),
        "a conversion here is 16 swaps, one TLBI, one DSB and 16 stores without a cache to help or other \
         cores to wait for; the base is dearer too, as each of its table accesses goes to memory",
    );
    row(
        "munmap, entry by entry, of no contpte",
        "about 11x",
        ratio(calls, Form::Single, |call| call.munmap),
        "as above; nothing is given back to a buddy list with a lock, which adds to both sides there",
    );
    row(
        "fork, in batches, of no contpte",
        "within a few percent",
        ratio(calls, Form::Batched, |call| call.fork),
        "batches skip over runs by the hint, so that reading costs less; the child's runs are born folded",
    );
    row(
        "munmap, in batches, of no contpte",
        "+9 % to +13 % (process exit)",
        ratio(calls, Form::Batched, |call| call.munmap),
        "published for whole processes, measured here for the one call",
    );
    row(
        "order-0 pages, contpte on, of off",
        "no change",
        gain(curves, true),
        "a fold is tried at the last entry of a block only, and finds two folios",
    );
    row(
        "large folios, largest working set, without of with contpte",
        "about 10x on some loads with 64K pages; 4K near the speed of 16K",
        gain(curves, false),
        "one load in flight and no data cache: the load itself bounds the gain",
    );
    table
}

fn ratio(calls: &[Call], form: Form, cost: fn(&Call) -> Cost) -> Option<String> {
    let with = cost(find(calls, true, form)?).cycles as f64;
    let without = cost(find(calls, false, form)?).cycles as f64;
    Some(format!("{:.2}x", with / without))
}

/// Cycles a load without contpte over those with, at the largest working set; the other way round for
/// single pages.
fn gain(curves: &[Curve], single: bool) -> Option<String> {
    let of = |contpte: bool| {
        let wanted = |curve: &&Curve| {
            (curve.setting.order == 0) == single && curve.setting.contpte == contpte
        };
        curves.iter().find(wanted)?.points.last()
    };
    let (off, on) = (of(false)?.cycles, of(true)?.cycles);
    let value = if single { on / off } else { off / on };
    Some(format!("{value:.2}x"))
}
