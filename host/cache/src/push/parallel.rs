//! Some things at once.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Does `work` on each of `tasks`, several at once, begun in this order. What came of each, in no order.
pub(super) fn in_parallel<T: Send>(
    jobs: NonZeroUsize,
    tasks: Vec<usize>,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<(usize, T)> {
    let threads = jobs.get().min(tasks.len());
    if threads <= 1 {
        return tasks.into_iter().map(|task| (task, work(task))).collect();
    }
    let queue = Mutex::new(tasks.into_iter());
    let drain = || {
        let mut done = Vec::new();
        loop {
            // Taken before the work, so that nobody waits for it.
            let task = lock(&queue).next();
            let Some(task) = task else {
                return done;
            };
            done.push((task, work(task)));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(drain)).collect();
        let joined = threads.into_iter().flat_map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    })
}

/// Does `work` on each of `0..needs.len()`, several at once, each after all that it `needs` is done.
pub(super) fn in_order(jobs: NonZeroUsize, needs: &[Vec<usize>], work: impl Fn(usize) + Sync) {
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (task, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| needed_by[*need].push(task));
    }
    let waiting: Vec<usize> = needs.iter().map(Vec::len).collect();
    let ready = (0..needs.len())
        .filter(|task| waiting[*task] == 0)
        .collect();
    let state = Mutex::new(Waiting {
        ready,
        waiting,
        left: needs.len(),
    });
    let changed = Condvar::new();
    let drain = || {
        loop {
            let idle = |state: &mut Waiting| state.ready.is_empty() && state.left > 0;
            let state_of = changed.wait_while(lock(&state), idle);
            let task = state_of
                .unwrap_or_else(PoisonError::into_inner)
                .ready
                .pop_front();
            let Some(task) = task else {
                return;
            };
            // Whoever waits is woken, also by a panic.
            let _done = Done {
                task,
                state: &state,
                changed: &changed,
                needed_by: &needed_by,
            };
            work(task);
        }
    };
    let threads = jobs.get().min(needs.len());
    if threads <= 1 {
        return drain();
    }
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(drain);
        }
    });
}

/// What is still to be done.
struct Waiting {
    /// What can begin.
    ready: VecDeque<usize>,
    /// For how many others each waits.
    waiting: Vec<usize>,
    /// How many have not ended.
    left: usize,
}

/// One task, which ends when this is dropped.
struct Done<'a> {
    task: usize,
    state: &'a Mutex<Waiting>,
    changed: &'a Condvar,
    needed_by: &'a [Vec<usize>],
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let mut state = lock(self.state);
        state.left -= 1;
        let before = state.ready.len();
        for next in &self.needed_by[self.task] {
            state.waiting[*next] -= 1;
            if state.waiting[*next] == 0 {
                state.ready.push_back(*next);
            }
        }
        let is_news = state.ready.len() > before || state.left == 0;
        drop(state);
        if is_news {
            self.changed.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicBool, Ordering};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_is_done_once_and_after_what_it_needs(
            needs in prop::collection::vec(prop::collection::btree_set(0..40_usize, 0..4), 0..40),
            jobs in 1..5_usize,
        ) {
            let needs: Vec<Vec<usize>> = needs
                .into_iter()
                .enumerate()
                .map(|(at, needs)| needs.into_iter().filter(|need| *need < at).collect())
                .collect();
            let done: Vec<_> = needs.iter().map(|_| AtomicBool::new(false)).collect();
            in_order(NonZeroUsize::new(jobs).unwrap(), &needs, |task| {
                for need in &needs[task] {
                    assert!(done[*need].load(Ordering::SeqCst), "{task} before {need}");
                }
                assert!(!done[task].swap(true, Ordering::SeqCst), "{task} twice");
            });
            prop_assert!(done.iter().all(|done| done.load(Ordering::SeqCst)));
        }
    }

    #[test]
    fn what_is_in_no_order_is_done_once() {
        for jobs in 1..4 {
            let done = in_parallel(NonZeroUsize::new(jobs).unwrap(), (0..100).collect(), |at| {
                at
            });
            assert!(done.iter().all(|(task, result)| task == result));
            let tasks: BTreeSet<_> = done.into_iter().map(|(task, _)| task).collect();
            assert_eq!(tasks.len(), 100);
        }
    }
}
