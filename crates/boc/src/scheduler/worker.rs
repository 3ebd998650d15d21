//! A worker: what it owns, and its loop.

use std::ptr::NonNull;

use pysync_platform::primitive::{hint, plain, yield_now};
use pysync_platform::{Deadline, Native, ParkStatus, Parker};

use super::current;
use super::quiesce::Counts;
use super::ready::ReadyList;
use super::run_queue::RunQueue;
use super::runtime::Shared;
use super::stats::{WorkerCounters, WorkerStats, bump};
use super::submit::submit;
use super::task::{Task, Verdict, execute};
use super::trace;
use super::watch::Watched;
use crate::padded::Padded;

pub(super) const IS_MODEL: bool = cfg!(any(pysync_loom, pysync_shuttle));
/// How many behaviours a worker runs in a row, each made ready by the one before, while others are queued.
const MOST_IN_A_ROW: usize = if IS_MODEL { 2 } else { 16 };
/// After so many behaviours a worker looks into the injector first.
const INJECTOR_TURN: usize = 61;
/// At most so many tasks move from one queue to another at a time.
const MOST_AT_A_TIME: usize = 64;
/// How often a worker looks through the queues before it announces that it is about to park. Under loom that
/// is left to the last look, since each step of a second worker multiplies the orders.
const SEARCH_ROUNDS: usize = if cfg!(pysync_loom) {
    0
} else if IS_MODEL {
    1
} else {
    64
};
/// Half a microsecond or more.
const PAUSES: usize = 32;
/// In how many of these rounds, the first ones, a worker pauses; in the others it yields.
const PAUSING_ROUNDS: usize = 32;

/// A worker. Only its queue is for other threads.
pub(crate) struct Worker {
    index: usize,
    pub(crate) queue: Padded<RunQueue>,
    pub(crate) counts: Padded<Counts>,
    pub(crate) counters: WorkerCounters,
    pub(crate) parker: Padded<Parker>,
}

impl Worker {
    pub(crate) fn new(index: usize) -> Self {
        Self {
            index,
            queue: Padded::default(),
            counts: Padded::default(),
            counters: WorkerCounters::default(),
            parker: Padded(Parker::new()),
        }
    }

    /// Queues tasks. Called by the worker itself.
    #[inline]
    pub(crate) fn push(&self, tasks: &mut ReadyList) {
        let is_taken = self.queue.push(tasks);
        debug_assert!(is_taken, "only its worker would close it");
    }

    pub(crate) fn stats(&self) -> WorkerStats {
        let counters = &self.counters;
        // Ordering: Relaxed; statistics.
        let read = |counter: &plain::AtomicUsize| counter.load(plain::Ordering::Relaxed);
        WorkerStats {
            index: self.index,
            scheduled: self.counts.scheduled(),
            run: self.counts.finished(),
            panicked: read(&counters.panicked),
            continued: read(&counters.continued),
            yielded: read(&counters.yielded),
            pushed: self.queue.pushed(),
            contended: self.queue.contended(),
            from_injector: read(&counters.from_injector),
            injector_turns: read(&counters.injector_turns),
            stolen: read(&counters.stolen),
            steal_attempts: read(&counters.steal_attempts),
            steal_failures: read(&counters.steal_failures),
            parked: read(&counters.parked),
            woke: read(&counters.woke),
        }
    }
}

impl Shared {
    /// Wakes an idle worker, if there is one and none searches. The caller has just pushed; or it is the
    /// last worker that has searched, and there is more. `waker` is the worker that the calling thread is.
    #[inline]
    pub(crate) fn wake_one(&self, waker: Option<&Worker>) {
        if self.idle.wants_wake() {
            self.wake_slow(waker);
        }
    }

    #[cold]
    fn wake_slow(&self, waker: Option<&Worker>) {
        let Some(index) = self.idle.take() else { return };
        if let Some(waker) = waker {
            bump(&waker.counters.woke, 1);
        }
        self.workers[index].parker.wakeup();
        trace::wake(index);
    }

    /// Wakes all that sleep, since the runtime has been stopped.
    pub(crate) fn wake_all(&self) {
        while let Some(index) = self.idle.take_any() {
            self.workers[index].parker.wakeup();
        }
    }

    /// Whether any queue has a task, by a look under each lock.
    fn has_tasks(&self) -> bool {
        self.injector.has_tasks() || self.workers.iter().any(|worker| worker.queue.has_tasks())
    }

    /// How much of `len` tasks in the injector a worker takes.
    fn share_of_injector(&self, len: usize) -> usize {
        len.div_ceil(self.workers.len()).min(MOST_AT_A_TIME)
    }
}

fn pause(times: usize) {
    (0..times).for_each(|_| hint::spin_loop());
}

/// How much of `len` tasks in another worker's queue a worker takes.
fn half(len: usize) -> usize {
    len.div_ceil(2).min(MOST_AT_A_TIME)
}

/// What a worker runs at certain points, with its index.
pub(crate) type Hook = dyn Fn(usize) + Send + Sync;

/// Runs behaviours as a worker until the runtime is stopped, and [leaves](Shared::leave) it. `on_idle` is
/// called each time that it has run out of them.
pub(crate) fn run(shared: &Shared, index: usize, on_idle: Option<&Hook>) {
    let worker = &shared.workers[index];
    let _entered = current::enter(shared, worker);
    let watched = shared.workers.iter().map(Watched::begin).collect();
    let mut running =
        Running { shared, worker, on_idle, ran: 0, injector_looked: 0, random: index, watched };
    while let Some(task) = running.next() {
        running.run_row(task);
    }
    shared.leave(index);
}

/// A worker in its loop.
struct Running<'a> {
    shared: &'a Shared,
    worker: &'a Worker,
    on_idle: Option<&'a Hook>,
    /// How many behaviours it has run.
    ran: usize,
    /// The same when it last looked into the injector.
    injector_looked: usize,
    /// With which worker a search begins.
    random: usize,
    /// The others, in this search.
    watched: Box<[Watched]>,
}

impl Running<'_> {
    /// Runs a behaviour, and then the first one that became ready by it, and so on: this one finds the
    /// cown in the cache. The others are queued, for any worker, before the next body begins. So what is
    /// ready is never out of reach of the other workers but for the moment between two bodies.
    fn run_row(&mut self, mut task: NonNull<Task>) {
        let mut in_a_row = 0;
        loop {
            let mut ready = ReadyList::new();
            // SAFETY: handed over by a queue, or by the behaviour before.
            unsafe { execute(task, Verdict::Run, &mut ready) };
            self.worker.counts.finish();
            self.ran = self.ran.wrapping_add(1);
            let Some(first) = ready.pop() else { return };
            // SAFETY: the list owned it.
            let is_ours = unsafe {
                std::ptr::eq(first.as_ref().runtime().as_ptr(), self.shared)
                    && first.as_ref().lane().is_null()
            };
            in_a_row += 1;
            if is_ours && self.may_go_on(in_a_row) {
                if !ready.is_empty() {
                    submit(ready);
                }
                bump(&self.worker.counters.continued, 1);
                task = first;
                continue;
            }
            if is_ours {
                bump(&self.worker.counters.yielded, 1);
            }
            let mut all = ReadyList::new();
            // SAFETY: as above.
            unsafe { all.push(first) };
            all.append(&mut ready);
            submit(all);
            return;
        }
    }

    #[inline]
    fn may_go_on(&self, in_a_row: usize) -> bool {
        if self.shared.is_stopping() {
            return false;
        }
        in_a_row < MOST_IN_A_ROW
            || (self.worker.queue.seems_empty() && self.shared.injector.seems_empty())
    }

    /// The next task to run, after a sleep if need be; `None` if the runtime has been stopped.
    fn next(&mut self) -> Option<NonNull<Task>> {
        if self.shared.is_stopping() {
            return None;
        }
        if self.ran.wrapping_sub(self.injector_looked) >= INJECTOR_TURN {
            self.injector_looked = self.ran;
            if let Some(task) = self.take_injected() {
                bump(&self.worker.counters.injector_turns, 1);
                return Some(task);
            }
        }
        if let Some(task) = self.worker.queue.pop() {
            return Some(task);
        }
        if let Some(task) = self.take_injected() {
            return Some(task);
        }
        self.search_and_park()
    }

    #[cold]
    fn search_and_park(&mut self) -> Option<NonNull<Task>> {
        if let Some(hook) = self.on_idle {
            hook(self.worker.index);
        }
        let idle = &self.shared.idle;
        let mut is_searching = idle.begin_search();
        if !IS_MODEL {
            // A thread that asks for many behaviours gets some of them queued before this worker takes lines
            // away from it.
            pause(PAUSES);
        }
        loop {
            if is_searching {
                if let Some(task) = self.search() {
                    self.end_search();
                    return Some(task);
                }
            }
            idle.announce(self.worker.index, is_searching);
            // From here on a push wakes this worker, or its task is found now.
            if let Some(task) = self.last_look() {
                if !idle.withdraw(self.worker.index) {
                    self.sleep(false);
                }
                self.end_search();
                return Some(task);
            }
            // What this worker has finished may have been the last.
            self.shared.notify_if_quiet();
            // A stop that comes later finds this worker among the idle ones.
            if self.shared.is_stopping() {
                if !idle.withdraw(self.worker.index) {
                    self.sleep(false);
                }
                return None;
            }
            bump(&self.worker.counters.parked, 1);
            trace::park(self.worker.index);
            self.sleep(true);
            // The waker has counted this worker as one that searches.
            is_searching = true;
        }
    }

    /// Takes the wakeup that has been, or will be, given to this worker.
    fn sleep(&self, detach: bool) {
        // A signal ends a wait too.
        while self.worker.parker.wait_in::<Native>(Deadline::NEVER, detach) != ParkStatus::Ok {}
    }

    /// This worker has found something. If it was the last that searched, others may have relied on it.
    fn end_search(&self) {
        let idle = &self.shared.idle;
        if idle.end_search() && idle.has_idle() && self.shared.has_tasks() {
            self.shared.wake_one(Some(self.worker));
        }
    }

    /// Looks through all queues for a while, and for as long as another worker has tasks that it is going to come
    /// to soon: to park and to be woken for the next of them would cost more.
    fn search(&mut self) -> Option<NonNull<Task>> {
        for (watched, worker) in self.watched.iter_mut().zip(&self.shared.workers) {
            *watched = Watched::begin(worker);
        }
        let mut round = 0;
        loop {
            #[allow(clippy::absurd_extreme_comparisons)]
            // There are no rounds in a model of loom's.
            let is_long = round >= SEARCH_ROUNDS;
            if is_long && (IS_MODEL || !self.others_have_tasks()) {
                return None;
            }
            if self.shared.is_stopping() {
                return None;
            }
            let task = self.take_injected().or_else(|| self.steal());
            if task.is_some() {
                return task;
            }
            if self.shared.quiescers.seem_waiting() {
                self.shared.notify_if_quiet();
            }
            if !IS_MODEL {
                // Each look takes lines of the others' away from them, so they come less and less often.
                if round < PAUSING_ROUNDS {
                    pause(PAUSES << (round / 8));
                } else if is_long {
                    pause(8 * PAUSES);
                }
                if round >= PAUSING_ROUNDS {
                    yield_now();
                }
            }
            round += 1;
        }
    }

    fn others_have_tasks(&self) -> bool {
        self.shared.workers.iter().any(|worker| !worker.queue.seems_empty())
    }

    /// Takes a share of the injector, and returns the first of it.
    fn take_injected(&self) -> Option<NonNull<Task>> {
        if self.shared.injector.seems_empty() {
            return None;
        }
        let taken = self.shared.injector.take(|len| self.shared.share_of_injector(len));
        bump(&self.worker.counters.from_injector, taken.len());
        self.keep(taken)
    }

    /// Takes half of the queue of another worker, if that is worth a move, and returns the first.
    fn steal(&mut self) -> Option<NonNull<Task>> {
        let workers = &self.shared.workers;
        self.random = self.random.wrapping_mul(0x9e37_79b1).wrapping_add(1);
        let start = self.random >> 8;
        for i in 0..workers.len() {
            let victim = &workers[start.wrapping_add(i) % workers.len()];
            let len = victim.queue.len_hint();
            if victim.index == self.worker.index || len == 0 {
                continue;
            }
            if !self.watched[victim.index].are_worth_a_move(victim, len) {
                continue;
            }
            if let Some(task) = self.stolen(victim, victim.queue.try_take(half)) {
                return Some(task);
            }
        }
        None
    }

    /// Looks into every queue under its lock, which orders the look with every push: see
    /// [`Idle`](super::idle::Idle).
    fn last_look(&self) -> Option<NonNull<Task>> {
        let taken = self.shared.injector.take(|len| self.shared.share_of_injector(len));
        bump(&self.worker.counters.from_injector, taken.len());
        if let Some(task) = self.keep(taken) {
            return Some(task);
        }
        let others = |worker: &&Worker| worker.index != self.worker.index;
        let mut workers = self.shared.workers.iter().filter(others);
        workers.find_map(|victim| self.stolen(victim, victim.queue.take(half)))
    }

    /// Counts an attempt to steal from `victim`, and keeps what it has brought.
    fn stolen(&self, victim: &Worker, taken: ReadyList) -> Option<NonNull<Task>> {
        let counters = &self.worker.counters;
        bump(&counters.steal_attempts, 1);
        if taken.is_empty() {
            bump(&counters.steal_failures, 1);
            return None;
        }
        bump(&counters.stolen, taken.len());
        trace::steal(self.worker.index, victim.index, taken.len());
        self.keep(taken)
    }

    /// Returns the first of what this worker has taken from another queue. The others go into its own, where
    /// other workers find them.
    fn keep(&self, mut taken: ReadyList) -> Option<NonNull<Task>> {
        let first = taken.pop()?;
        if !taken.is_empty() {
            self.worker.push(&mut taken);
            self.shared.wake_one(Some(self.worker));
        }
        Some(first)
    }
}
