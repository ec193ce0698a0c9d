// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! userfaultfd: accesses to missing pages wait until a handler in user space has brought the page
//! (section 14).
//!
//! A handler opens a [`Context`], registers ranges and reads messages: of accesses that wait, and, if it
//! asked for them, of system calls that change what the addresses mean. It fills pages with
//! [`Thread::uffd_copy`] and [`Thread::uffd_zeropage`], which wakes who waits for them. The addresses
//! in a message are of the time when it was sent; so while a change is under way whose message was not
//! read yet, pages are not filled: the handler is told to read on and try again.
//!
//! | module | idea |
//! | --- | --- |
//! | `context` | who waits, what is to be read, and whether a mapping is changing |
//! | `owed` | messages that a system call raises under the mmap lock and delivers after it |
//! | `register` | which areas a context has |
//! | `fill` | pages come to be |

mod context;
mod fill;
mod owed;
mod register;

pub use context::{Context, Features, Message};
pub use fill::Copy;

pub(crate) use context::Waiting;
pub(crate) use owed::Owed;

#[expect(unused_imports, reason = "the documentation above names it")]
use crate::thread::Thread;
