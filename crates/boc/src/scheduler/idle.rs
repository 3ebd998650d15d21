//! Which workers sleep, and which of them is woken.

use pysync_lock::RawMutex;
use pysync_platform::primitive::UnsafeCell;
use pysync_platform::primitive::atomic::{AtomicUsize, Ordering::Relaxed};

/// One idle worker more.
const IDLE: usize = 1 << (usize::BITS / 2);
/// The half of the word that counts the searching workers.
const SEARCHING: usize = IDLE - 1;

/// The workers of a runtime that have nothing to do.
///
/// A worker that has run dry **searches** for a while, then it is **idle**: it announces itself here, looks
/// into every queue once more, under the queues' locks, and parks. A thread that has pushed wakes an idle
/// worker, if there is one, and no worker is searching. A worker that is woken counts as searching from then
/// on. The last worker that ends its search since it has found something looks into the queues once more,
/// and wakes the next one if there is more: so one push wakes one worker, and a burst wakes as many as find
/// work, one by one.
///
/// # No worker sleeps while a task is queued that has no worker to come for it
/// Let a pusher push into the queue `Q` and then load the word. All changes of the word are exchanges, so
/// that they have one order. The last look of a worker locks `Q` after it has changed the word, and the
/// pusher loads the word after it has locked `Q`.
///
/// 1. The pusher finds no idle worker. A worker that announces itself later locks `Q` after the push: if
///    its lock came first, the pusher would have seen the announcement. So it finds the task.
/// 2. The pusher finds an idle worker, and none that searches: it wakes one.
/// 3. The pusher finds one that searches. Let D be the next change of the word after which none searches.
///    The worker that made D looks into `Q` under its lock after D, either before it parks or since it was
///    the last one that searched. If its lock came before the push, the pusher would have seen D or what
///    came later. So it finds the task, and takes it or wakes another worker for it.
///
/// Therefore all accesses of the word are Relaxed. The order comes from the locks of the queues.
pub(crate) struct Idle {
    /// How many search, in the lower half, and how many are idle, in the upper.
    word: AtomicUsize,
    lock: RawMutex,
    /// The idle workers. The last to come is the first to be woken: its caches are the warmest.
    stack: UnsafeCell<Vec<usize>>,
    most_searching: usize,
}

// SAFETY: the stack is accessed only under the lock.
unsafe impl Sync for Idle {}

impl Idle {
    /// For so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            word: AtomicUsize::new(0),
            lock: RawMutex::default(),
            stack: UnsafeCell::new(Vec::with_capacity(workers)),
            // More would only disturb each other, and those who work.
            most_searching: workers.div_ceil(2),
        }
    }

    /// Whether a thread that has just pushed is to wake a worker.
    #[inline]
    pub(crate) fn wants_wake(&self) -> bool {
        let word = self.word.load(Relaxed);
        word >= IDLE && word & SEARCHING == 0
    }

    /// Whether any worker is idle.
    pub(crate) fn has_idle(&self) -> bool {
        self.word.load(Relaxed) >= IDLE
    }

    /// Counts the calling worker as searching; false if enough workers are.
    pub(crate) fn begin_search(&self) -> bool {
        let mut word = self.word.load(Relaxed);
        while word & SEARCHING < self.most_searching {
            match self.word.compare_exchange_weak(word, word + 1, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(actual) => word = actual,
            }
        }
        false
    }

    /// The calling worker searches no more, since it has found something; true if no other worker searches.
    pub(crate) fn end_search(&self) -> bool {
        self.word.fetch_sub(1, Relaxed) & SEARCHING == 1
    }

    /// Takes an idle worker off, to be woken by the caller: it counts as searching from now on. `None` if
    /// there is none, or a worker searches already.
    pub(crate) fn take(&self) -> Option<usize> {
        self.locked(|stack| {
            if self.word.load(Relaxed) & SEARCHING != 0 {
                return None;
            }
            let worker = stack.pop()?;
            self.word.fetch_sub(IDLE - 1, Relaxed);
            Some(worker)
        })
    }

    /// [`take`](Self::take) though another worker searches: when all are to wake.
    pub(crate) fn take_any(&self) -> Option<usize> {
        self.locked(|stack| {
            let worker = stack.pop()?;
            self.word.fetch_sub(IDLE - 1, Relaxed);
            Some(worker)
        })
    }

    /// Announces that `worker` is about to park. It looks into every queue after that.
    pub(crate) fn announce(&self, worker: usize, was_searching: bool) {
        self.locked(|stack| {
            // There is room for every worker.
            stack.push(worker);
            self.word.fetch_add(IDLE - usize::from(was_searching), Relaxed);
        });
    }

    /// Takes an announcement back: `worker` searches. False if another thread has taken it off, and is
    /// about to wake it: it searches then too.
    pub(crate) fn withdraw(&self, worker: usize) -> bool {
        self.locked(|stack| {
            let Some(place) = stack.iter().rposition(|&other| other == worker) else {
                return false;
            };
            stack.remove(place);
            self.word.fetch_sub(IDLE - 1, Relaxed);
            true
        })
    }

    fn locked<T>(&self, f: impl FnOnce(&mut Vec<usize>) -> T) -> T {
        self.lock.lock();
        // SAFETY: the lock is held, and the closures above do not come back here.
        let result = self.stack.with_mut(|stack| f(unsafe { &mut *stack }));
        self.lock.unlock();
        result
    }
}
