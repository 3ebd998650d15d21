//! A queue of tasks that are ready, behind a lock.

use std::ptr::NonNull;

use pysync_lock::RawMutex;
use pysync_platform::primitive::atomic::{AtomicUsize, Ordering::Relaxed};
use pysync_platform::primitive::{UnsafeCell, hint, plain};

use super::ready::ReadyList;
use super::stats::bump;
use super::task::Task;

/// How often a thread looks at a lock before it sleeps. The lock is held for some tens of instructions, so
/// that only a holder that has lost its processor keeps it for longer.
const LOOKS: u32 = if cfg!(any(pysync_loom, pysync_shuttle)) { 0 } else { 100 };

/// A first in, first out queue: that of a worker, the injector of a runtime, or that of a lane.
///
/// The lock is more than mutual exclusion: the proof in [`idle`](super::idle) that no worker sleeps on work
/// rests on the order that it gives to a push and to the last look of a worker before it parks. So a push
/// needs no fence.
///
/// Why a lock and not a ring of atomics: the queue is unbounded and allocates nothing, a batch moves in one
/// step, and a lock that no other thread wants costs two exchanges on a line that the worker has anyway.
#[derive(Default)]
pub(crate) struct RunQueue {
    lock: RawMutex,
    /// How many tasks are queued. Written under the lock; a hint for those who do not hold it.
    len: AtomicUsize,
    inner: UnsafeCell<Inner>,
    contended: plain::AtomicUsize,
    pushed: plain::AtomicUsize,
}

struct Inner {
    list: ReadyList,
    closed: bool,
}

impl Default for Inner {
    fn default() -> Self {
        Self { list: ReadyList::new(), closed: false }
    }
}

// SAFETY: `inner` is accessed only under the lock, and a `ReadyList` may be sent.
unsafe impl Send for RunQueue {}
// SAFETY: as above.
unsafe impl Sync for RunQueue {}

impl RunQueue {
    /// Appends all of `tasks`; false, and they stay where they are, if the queue is closed.
    #[inline]
    pub(crate) fn push(&self, tasks: &mut ReadyList) -> bool {
        self.push_after(tasks).is_some()
    }

    /// [`push`](Self::push) that says how many tasks there were before.
    #[inline]
    pub(crate) fn push_after(&self, tasks: &mut ReadyList) -> Option<usize> {
        self.locked(|inner| {
            if inner.closed {
                return None;
            }
            let before = inner.list.len();
            bump(&self.pushed, tasks.len());
            inner.list.append(tasks);
            Some(before)
        })
    }

    /// Takes the first task. Locks nothing if the hint says that there is none, which its only pusher may
    /// rely on.
    #[inline]
    pub(crate) fn pop(&self) -> Option<NonNull<Task>> {
        if self.seems_empty() { None } else { self.locked(|inner| inner.list.pop()) }
    }

    /// Takes as many tasks from the front as `share` says for the number that there is. Sleeps for the
    /// lock if another thread holds it.
    pub(crate) fn take(&self, share: impl FnOnce(usize) -> usize) -> ReadyList {
        self.locked(|inner| {
            let n = share(inner.list.len());
            inner.list.take(n)
        })
    }

    /// [`take`](Self::take) that takes nothing if another thread holds the lock.
    pub(crate) fn try_take(&self, share: impl FnOnce(usize) -> usize) -> ReadyList {
        if self.seems_empty() || !self.lock.try_lock() {
            return ReadyList::new();
        }
        self.under_lock(|inner| {
            let n = share(inner.list.len());
            inner.list.take(n)
        })
    }

    /// Whether there is a task, by a look under the lock.
    pub(crate) fn has_tasks(&self) -> bool {
        self.locked(|inner| !inner.list.is_empty())
    }

    /// Refuses all pushes from now on; takes what is queued.
    pub(crate) fn close(&self) -> ReadyList {
        self.locked(|inner| {
            inner.closed = true;
            std::mem::replace(&mut inner.list, ReadyList::new())
        })
    }

    /// How many tasks there are, or were a moment ago.
    #[inline]
    pub(crate) fn len_hint(&self) -> usize {
        // Ordering: Relaxed. Nothing is read through it, and no thread sleeps because of it.
        self.len.load(Relaxed)
    }

    #[inline]
    pub(crate) fn seems_empty(&self) -> bool {
        self.len_hint() == 0
    }

    /// The word that changes from 0 when the queue gets its first task: what a lane's thread parks on.
    pub(crate) fn len_word(&self) -> &AtomicUsize {
        &self.len
    }

    /// How many tasks have been pushed.
    pub(crate) fn pushed(&self) -> usize {
        self.pushed.load(Relaxed)
    }

    /// How many tasks have left the queue, or had a moment ago.
    pub(crate) fn popped(&self) -> usize {
        self.pushed().wrapping_sub(self.len_hint())
    }

    /// How often a thread has found the lock taken.
    pub(crate) fn contended(&self) -> usize {
        self.contended.load(Relaxed)
    }

    #[inline]
    fn locked<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        if !self.lock.try_lock() {
            self.lock_slow();
        }
        self.under_lock(f)
    }

    #[cold]
    fn lock_slow(&self) {
        let is_locked = (0..LOOKS).any(|_| {
            hint::spin_loop();
            !self.lock.is_locked() && self.lock.try_lock()
        });
        if !is_locked {
            self.lock.lock();
        }
        bump(&self.contended, 1);
    }

    #[inline]
    fn under_lock<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        let result = self.inner.with_mut(|inner| {
            // SAFETY: the lock is held, and `f` is a closure of this file or counts only: it does not come
            // back here.
            let inner = unsafe { &mut *inner };
            let result = f(inner);
            // Ordering: Relaxed; a hint.
            self.len.store(inner.list.len(), Relaxed);
            result
        });
        self.lock.unlock();
        result
    }
}
