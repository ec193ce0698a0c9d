// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Children: each holds what its parent held during the fork, whatever the parent's threads do since
//! (MM-08, MM-16).

use super::race::{Shared, Space};
use super::words::{Page, Seen};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::Cpu;
use sw_mm::mm::{AddressSpace, Error};
use sw_mm::thread::Thread;
use tokio::sync::mpsc::UnboundedReceiver;

/// Children that live on after they were looked at.
const MOST_KEPT: usize = 3;

/// Of so many pages a child writes to one; every child to others.
const SPACING: usize = 7;

/// A child, and what its parent's words were when the fork began and ended: page by page, word by word.
pub struct Child {
    pub space: Rc<AddressSpace>,
    pub of: usize,
    pub before: Vec<Vec<Seen>>,
    pub after: Vec<Vec<Seen>>,
    /// What is known of its words that are looked at.
    pub holds: Vec<Vec<Option<u64>>>,
}

impl Child {
    pub fn new(
        space: Rc<AddressSpace>,
        of: usize,
        before: Vec<Vec<Seen>>,
        after: Vec<Vec<Seen>>,
    ) -> Self {
        let holds = before.iter().map(|page| vec![None; page.len()]).collect();
        Self {
            space,
            of,
            before,
            after,
            holds,
        }
    }
}

/// The words of the common pages.
pub fn look(space: &Space) -> Vec<Vec<Seen>> {
    let words = |page: &Page| {
        (0..page.writers())
            .map(|writer| page.look(writer))
            .collect()
    };
    space.common.iter().map(words).collect()
}

/// A value that nobody else writes.
fn mark(page: usize, writer: usize) -> u64 {
    0xc41d << 48 | (page as u64) << 8 | writer as u64
}

/// Looks at each child, writes to it and looks again; some live on, and are looked at once more before
/// they end.
pub async fn watch<C: Cpu>(
    thread: Rc<Thread<C>>,
    shared: Rc<Shared>,
    mut children: UnboundedReceiver<Child>,
) {
    let watched = async {
        while let Some(mut child) = children.recv().await {
            inspect(&thread, &shared, &mut child).await?;
            let mut kept = shared.children.borrow().len();
            if child.space.number() % 2 == 0 {
                shared.children.borrow_mut().push(child);
                kept += 1;
            } else {
                end(&thread, child).await?;
            }
            if kept > MOST_KEPT {
                end_oldest(&thread, &shared).await?;
            }
        }
        Ok(())
    };
    if let Err(what) = watched.await {
        shared.fails(what);
    }
    thread.leave().await;
}

/// Ends the child that has lived longest.
pub async fn end_oldest<C: Cpu>(thread: &Thread<C>, shared: &Shared) -> Result<(), String> {
    let mut oldest = shared.children.borrow_mut().remove(0);
    inspect(thread, shared, &mut oldest).await?;
    end(thread, oldest).await
}

async fn end<C: Cpu>(thread: &Thread<C>, child: Child) -> Result<(), String> {
    thread.leave().await;
    let ended = thread.exit_space(&child.space).await;
    ended.map_err(|error| error.to_string())
}

async fn inspect<C: Cpu>(
    thread: &Thread<C>,
    shared: &Shared,
    child: &mut Child,
) -> Result<(), String> {
    let number = child.space.number();
    thread.switch_to(&child.space).await;
    // What is written in between must not change what is read.
    for _ in 0..2 {
        let looked = read(thread, shared, child).await;
        looked.map_err(|what| format!("child {number}: {what}"))?;
        for page in (number as usize % SPACING..child.holds.len()).step_by(SPACING) {
            let writer = (number as usize + page) % (child.holds[page].len() / 2);
            let (va, value) = (shared.common(page) + writer as u64 * 8, mark(page, writer));
            match thread.user_store(va, Double, value).await {
                Ok(()) => child.holds[page][writer] = Some(value),
                // It was read-only during the fork.
                Err(Error::Signal { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    Ok(())
}

async fn read<C: Cpu>(
    thread: &Thread<C>,
    shared: &Shared,
    child: &mut Child,
) -> Result<(), String> {
    for (number, page) in shared.spaces[child.of].common.iter().enumerate() {
        // A thread and a device: every child looks at others.
        let half = page.writers() / 2;
        let chosen = (child.space.number() as usize + number) % half;
        for writer in [chosen, chosen + half] {
            let va = shared.common(number) + writer as u64 * 8;
            let value = thread.user_load(va, Double).await;
            let value = value.map_err(|error| error.to_string())?;
            let held = child.holds[number][writer].replace(value);
            match held {
                Some(held) if held != value => {
                    return Err(format!("{value:#x} at {va:#x}, which held {held:#x}"));
                }
                Some(_) => {}
                None => {
                    let (before, after) =
                        (&child.before[number][writer], &child.after[number][writer]);
                    page.check_between(writer, before, after, value)?;
                }
            }
        }
    }
    Ok(())
}
