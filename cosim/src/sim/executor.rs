// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Polls tasks in a fixed order, and only those that something woke.
//!
//! A *pass* polls every task of the ready set in the order of spawning. A task woken during a pass
//! is polled in the next pass of the same cycle; passes go on until the ready set is empty. Nothing
//! else, in particular no address and no clock, decides the order. Tasks get real wakers, so any
//! future works, also those of other crates.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Passes within one cycle after which what is still ready waits for the next cycle, so that a task
/// which wakes itself cannot stop time.
const MAX_PASSES: usize = 1000;

/// A boxed task.
pub(crate) type BoxedTask = Pin<Box<dyn Future<Output = ()>>>;

/// A task to be spawned.
pub(crate) struct NewTask {
    pub(crate) future: BoxedTask,
    /// Whether the run goes on until this task is done.
    pub(crate) foreground: bool,
}

/// Tasks woken, one bit a task, in words that wakers hold. They must be `Send`, hence the atomics.
struct ReadyWord {
    tasks: AtomicU64,
    /// Set whenever a bit of any word may be.
    any: Arc<AtomicBool>,
}

struct TaskWaker {
    word: Arc<ReadyWord>,
    bit: u64,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.word.tasks.fetch_or(self.bit, Ordering::Release);
        self.word.any.store(true, Ordering::Release);
    }
}

struct Task {
    future: BoxedTask,
    waker: Waker,
    foreground: bool,
}

/// The tasks of a simulation.
#[derive(Default)]
pub(crate) struct Executor {
    /// Done tasks leave `None`; a place is never used twice, so the order of polls is that of
    /// spawning.
    tasks: Vec<Option<Task>>,
    ready: Vec<Arc<ReadyWord>>,
    any_ready: Arc<AtomicBool>,
    /// The ready set as it was when the pass began.
    pass: Vec<u64>,
    foreground: usize,
}

impl Executor {
    /// Adds a task, ready to be polled.
    pub(crate) fn spawn(&mut self, new: NewTask) {
        let (word, bit) = (self.tasks.len() / 64, self.tasks.len() % 64);
        if self.ready.len() == word {
            let any = Arc::clone(&self.any_ready);
            self.ready.push(Arc::new(ReadyWord {
                tasks: AtomicU64::new(0),
                any,
            }));
        }
        let waker = TaskWaker {
            word: Arc::clone(&self.ready[word]),
            bit: 1 << bit,
        };
        let waker = Waker::from(Arc::new(waker));
        waker.wake_by_ref();
        self.foreground += usize::from(new.foreground);
        self.tasks.push(Some(Task {
            future: new.future,
            waker,
            foreground: new.foreground,
        }));
    }

    /// Foreground tasks that are not done.
    pub(crate) fn foreground(&self) -> usize {
        self.foreground
    }

    /// Whether a task is ready to be polled.
    pub(crate) fn any_ready(&self) -> bool {
        self.any_ready.load(Ordering::Acquire)
    }

    /// Polls ready tasks until none is ready; `adopt` hands over tasks that tasks spawned.
    pub(crate) fn run_ready(&mut self, mut adopt: impl FnMut(&mut Self)) {
        for _ in 0..MAX_PASSES {
            if !self.any_ready() {
                return;
            }
            // In this order: a bit set meanwhile sets the flag again.
            self.any_ready.store(false, Ordering::Release);
            self.pass.clear();
            self.pass.extend(
                self.ready
                    .iter()
                    .map(|word| word.tasks.swap(0, Ordering::AcqRel)),
            );
            for word in 0..self.pass.len() {
                let mut tasks = self.pass[word];
                while tasks != 0 {
                    self.poll(word * 64 + tasks.trailing_zeros() as usize);
                    adopt(self);
                    tasks &= tasks - 1;
                }
            }
        }
    }

    fn poll(&mut self, index: usize) {
        let Some(task) = self.tasks.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let mut context = Context::from_waker(&task.waker);
        if let Poll::Ready(()) = task.future.as_mut().poll(&mut context) {
            self.foreground -= usize::from(task.foreground);
            self.tasks[index] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    fn task(future: impl Future<Output = ()> + 'static) -> NewTask {
        NewTask {
            future: Box::pin(future),
            foreground: true,
        }
    }

    /// Pending once, leaving its waker in `slot`.
    struct Park(Rc<RefCell<Option<Waker>>>, bool);

    impl Future for Park {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.1, true) {
                return Poll::Ready(());
            }
            *self.0.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        }
    }

    #[test]
    fn tasks_are_polled_in_spawn_order_whatever_the_order_of_wakes() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let mut executor = Executor::default();
        let parks: Vec<_> = (0..130).map(|_| Rc::new(RefCell::new(None))).collect();
        for (i, park) in parks.iter().enumerate() {
            let (order, park) = (Rc::clone(&order), Rc::clone(park));
            executor.spawn(task(async move {
                Park(park, false).await;
                order.borrow_mut().push(i);
            }));
        }
        executor.run_ready(|_| ());
        assert!(order.borrow().is_empty());
        for i in [129, 3, 70, 64, 0, 63] {
            let waker: Option<Waker> = parks[i].borrow_mut().take();
            waker.expect("parked").wake();
        }
        executor.run_ready(|_| ());
        assert_eq!(*order.borrow(), [0, 3, 63, 64, 70, 129]);
        assert_eq!(executor.foreground(), 124);
    }

    #[test]
    fn a_task_woken_in_a_pass_is_polled_in_the_next_one() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let park = Rc::new(RefCell::new(None));
        let mut executor = Executor::default();
        let (log, parked) = (Rc::clone(&order), Rc::clone(&park));
        executor.spawn(task(async move {
            Park(parked, false).await;
            log.borrow_mut().push("first, woken");
        }));
        let log = Rc::clone(&order);
        executor.spawn(task(async move {
            let waker: Option<Waker> = park.borrow_mut().take();
            waker.expect("parked").wake();
            log.borrow_mut().push("second");
        }));
        let log = Rc::clone(&order);
        executor.spawn(task(async move { log.borrow_mut().push("third") }));
        executor.run_ready(|_| ());
        assert_eq!(*order.borrow(), ["second", "third", "first, woken"]);
        assert_eq!(executor.foreground(), 0);
    }

    #[test]
    fn a_task_that_wakes_itself_does_not_stop_time() {
        let polls = Rc::new(Cell::new(0));
        let count = Rc::clone(&polls);
        let mut executor = Executor::default();
        executor.spawn(task(std::future::poll_fn(move |context| {
            count.set(count.get() + 1);
            context.waker().wake_by_ref();
            Poll::Pending
        })));
        executor.run_ready(|_| ());
        assert_eq!(polls.get(), MAX_PASSES);
        assert!(executor.any_ready());
    }
}
