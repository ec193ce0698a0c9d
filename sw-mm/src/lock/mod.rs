// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Kernel locks, and who may take which while holding which (section 4, G9).
//!
//! Between two `await`s a task is alone, so only what spans an `await` needs a lock. The queue behind
//! each is first come, first served. Every acquisition is held against the order of [`Class`]; a
//! mistake is recorded, not punished, because the run that shows it may still end in good order
//! (MM-34).

mod order;

pub use order::{Class, Held, LockViolation, Violations};

use crate::give_way::yield_now;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// A lock that one thread holds at a time.
#[derive(Debug, Clone)]
pub struct Lock {
    class: Class,
    key: u64,
    inner: Arc<Mutex<()>>,
}

impl Lock {
    /// A lock of `class`; `key` tells those of one class apart and orders them.
    pub fn new(class: Class, key: u64) -> Self {
        Self {
            class,
            key,
            inner: Arc::default(),
        }
    }

    /// Waits for the lock.
    pub async fn lock(&self, held: &Rc<Held>) -> Guard {
        // Others may come first (section 15), also where nobody holds it.
        yield_now().await;
        let token = Token::take(held, self.class, self.key);
        let inner = Arc::clone(&self.inner).lock_owned().await;
        Guard {
            _token: token,
            _inner: inner,
        }
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self, held: &Rc<Held>) -> Option<Guard> {
        let inner = Arc::clone(&self.inner).try_lock_owned().ok()?;
        let token = Token::take_at_once(held, self.class, self.key);
        Some(Guard {
            _token: token,
            _inner: inner,
        })
    }

    /// Whether somebody holds it.
    pub fn is_locked(&self) -> bool {
        self.inner.try_lock().is_err()
    }
}

/// A lock that many may hold for reading or one for writing.
#[derive(Debug)]
pub struct ReadWriteLock {
    class: Class,
    key: u64,
    inner: Arc<RwLock<()>>,
}

impl ReadWriteLock {
    /// A lock of `class`; `key` tells those of one class apart and orders them.
    pub fn new(class: Class, key: u64) -> Self {
        Self {
            class,
            key,
            inner: Arc::default(),
        }
    }

    /// Waits until no writer is in.
    pub async fn read(&self, held: &Rc<Held>) -> ReadGuard {
        // Others may come first (section 15), also where nobody holds it.
        yield_now().await;
        let token = Token::take(held, self.class, self.key);
        let inner = Arc::clone(&self.inner).read_owned().await;
        ReadGuard {
            _token: token,
            _inner: inner,
        }
    }

    /// Waits until nobody is in.
    pub async fn write(&self, held: &Rc<Held>) -> WriteGuard {
        // Others may come first (section 15), also where nobody holds it.
        yield_now().await;
        let token = Token::take(held, self.class, self.key);
        let inner = Arc::clone(&self.inner).write_owned().await;
        WriteGuard {
            _token: token,
            _inner: inner,
        }
    }

    /// Whether somebody is in.
    pub fn is_locked(&self) -> bool {
        self.inner.try_write().is_err()
    }
}

/// An entry in the list of what a thread holds.
#[derive(Debug)]
struct Token {
    held: Rc<Held>,
    class: Class,
    key: u64,
}

impl Token {
    fn take(held: &Rc<Held>, class: Class, key: u64) -> Self {
        held.acquire(class, key);
        Self::take_at_once(held, class, key)
    }

    fn take_at_once(held: &Rc<Held>, class: Class, key: u64) -> Self {
        held.push(class, key);
        Self {
            held: Rc::clone(held),
            class,
            key,
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.held.release(self.class, self.key);
    }
}

/// Holds a [`Lock`] until dropped.
#[derive(Debug)]
pub struct Guard {
    _token: Token,
    _inner: OwnedMutexGuard<()>,
}

/// Holds a [`ReadWriteLock`] for reading until dropped.
#[derive(Debug)]
pub struct ReadGuard {
    _token: Token,
    _inner: OwnedRwLockReadGuard<()>,
}

/// Holds a [`ReadWriteLock`] for writing until dropped.
#[derive(Debug)]
pub struct WriteGuard {
    _token: Token,
    _inner: OwnedRwLockWriteGuard<()>,
}
