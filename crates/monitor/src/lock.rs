//! The lock of a monitor: its owner and its state in one word.

use std::mem;
use std::panic::Location;
use std::pin::pin;
use std::ptr::{self, NonNull};

use pysync_parking_lot::{Key, Position, Waiter, inspect};
use pysync_platform::primitive::Zeroed;
use pysync_platform::primitive::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use pysync_platform::spin::Next;
use pysync_platform::{Deadline, LockFlags, ParkStatus, Runtime, Spin, TIME_TO_BE_FAIR};

use crate::graph;
use crate::node::{Node, State, TIMED, WaitOf};
use crate::nodes::Hidden;
use crate::report::{Deadlock, MonitorId, Waits};

/// Threads are parked at the lock, or about to be.
pub(crate) const PARKED: usize = 1;
/// Threads wait for conditions.
pub(crate) const CONDITIONS: usize = 2;
/// The bits of a word that are not the owner's address.
pub(crate) const TAGS: usize = align_of::<Node>() - 1;

/// One word: the node of the thread that is inside, or null, and in its lowest bits [`PARKED`] and [`CONDITIONS`]. So who
/// is inside and whether that thread must look for others is known by one load, and taken by one exchange. Beside it is
/// what reports call the monitor.
#[repr(C)]
pub(crate) struct Lock {
    /// The first field: a walker has its key by the address of the lock alone.
    pub(crate) word: Zeroed<AtomicPtr<Node>>,
    name: Option<&'static str>,
    type_name: fn() -> &'static str,
}

/// Why a thread is not inside.
pub(crate) enum Blocked {
    Deadlock(Deadlock),
    Timeout,
    Interrupted,
}

/// A thread that waits to enter: what it parks with.
pub(crate) struct Queued {
    pub(crate) node: &'static Node,
    /// From when on it is handed the lock.
    pub(crate) due: Deadline,
}

fn owner_of(word: *mut Node) -> Option<NonNull<Node>> {
    NonNull::new(word.map_addr(|addr| addr & !TAGS))
}

pub(crate) fn is_parked(word: *mut Node) -> bool {
    word.addr() & PARKED != 0
}

impl Lock {
    /// A lock in which no thread is, for a value of type `T`.
    pub(crate) const fn new<T: ?Sized>(name: Option<&'static str>) -> Self {
        Self { word: Zeroed::<AtomicPtr<Node>>::new(), name, type_name: std::any::type_name::<T> }
    }

    /// What it is called in reports.
    pub(crate) fn id(&self) -> MonitorId {
        MonitorId::new(ptr::from_ref(self).addr(), self.name, (self.type_name)())
    }

    /// The key of those that wait for conditions: another address in the word, on which no other thread parks.
    pub(crate) fn conditions_key(this: *const Self) -> Key {
        Key::of(this.cast::<u8>().wrapping_add(1))
    }

    /// Says that threads wait for conditions. Called by the thread that is inside.
    pub(crate) fn announce_condition(&self) {
        self.retag(|tags| tags | CONDITIONS);
    }

    /// Says that none waits for a condition. Called by the thread that is inside, under the lock of their bucket.
    pub(crate) fn forget_conditions(&self) {
        self.retag(|tags| tags & !CONDITIONS);
    }

    fn retag(&self, change: impl Fn(usize) -> usize) {
        let mut seen = self.word.load(Relaxed);
        loop {
            let new = seen.map_addr(|addr| addr & !TAGS | change(addr & TAGS));
            // Ordering: Relaxed. The thread is inside, and publishes this when it leaves.
            match self.word.compare_exchange_weak(seen, new, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(actual) => seen = actual,
            }
        }
    }

    /// Makes another thread the one that is inside. Called by the one that is.
    pub(crate) fn hand_to(&self, node: &'static Node) {
        let mut seen = self.word.load(Relaxed);
        loop {
            let new = ptr::from_ref(node).cast_mut().map_addr(|addr| addr | seen.addr() & TAGS);
            // Ordering: Release pairs with the Acquire of a walker that finds the node here.
            match self.word.compare_exchange_weak(seen, new, Release, Relaxed) {
                Ok(_) => return,
                Err(actual) => seen = actual,
            }
        }
    }

    /// The key of a lock, which need not be there.
    pub(crate) fn key(this: *const Self) -> Key {
        Key::of(this)
    }

    /// Who is inside.
    pub(crate) fn owner(&self) -> Option<&'static Node> {
        // Ordering: Acquire, of the node, pairs with the Release of its thread in `enter_fast` and `try_enter`, and with
        // that of a leaver that hands it the lock.
        let owner = owner_of(self.word.load(Acquire));
        // SAFETY: nodes are never freed.
        owner.map(|node| unsafe { node.as_ref() })
    }

    /// Forgets another owner and all that wait. Called by the only thread of the process.
    pub(crate) fn after_fork(&self, me: &'static Node) {
        let mine = self.owner().filter(|&owner| ptr::eq(owner, me));
        let word = mine.map_or(ptr::null_mut(), |me| ptr::from_ref(me).cast_mut());
        // Ordering: Relaxed, there is one thread.
        self.word.store(word, Relaxed);
    }

    /// Enters if no thread is inside and none is parked.
    #[inline]
    pub(crate) fn enter_fast(&self, me: &'static Node) -> bool {
        let me = ptr::from_ref(me).cast_mut();
        // Ordering: Acquire pairs with the Release of the last one that was inside; Release, of the node itself, pairs
        // with the Acquire of a walker that finds it here.
        self.word.compare_exchange(ptr::null_mut(), me, AcqRel, Relaxed).is_ok()
    }

    /// Enters if no thread is inside.
    pub(crate) fn try_enter(&self, me: &'static Node) -> bool {
        let mut seen = self.word.load(Relaxed);
        while owner_of(seen).is_none() {
            let mine = ptr::from_ref(me).cast_mut().map_addr(|addr| addr | seen.addr());
            // Ordering: as in `enter_fast`.
            match self.word.compare_exchange_weak(seen, mine, AcqRel, Relaxed) {
                Ok(_) => return true,
                Err(actual) => seen = actual,
            }
        }
        false
    }

    /// Waits to enter.
    #[cold]
    pub(crate) fn enter_slow<R: Runtime>(
        &self,
        me: &'static Node,
        at: &'static Location<'static>,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<(), Blocked> {
        let not_inside = NotInside(me);
        let result = self.wait::<R>(me, at, deadline, flags);
        if result.is_ok() {
            mem::forget(not_inside);
        }
        result
    }

    fn wait<R: Runtime>(
        &self,
        me: &'static Node,
        at: &'static Location<'static>,
        deadline: Deadline,
        flags: LockFlags,
    ) -> Result<(), Blocked> {
        if self.owner().is_some_and(|owner| ptr::eq(owner, me)) {
            return Err(Blocked::Deadlock(Deadlock::with_itself(me, self, at)));
        }
        let due = Deadline::after(Some(TIME_TO_BE_FAIR));
        let queued = Queued { node: me, due };
        let waiter = pin!(Waiter::new(ptr::from_ref(&queued).cast_mut().cast()));
        let mut spin = Spin::new(ptr::from_ref(self).addr(), due, deadline);
        loop {
            if self.try_enter(me) {
                return Ok(());
            }
            // Ordering: Acquire, as in `owner`.
            let seen = self.word.load(Acquire);
            let Some(owner) = owner_of(seen) else { continue };
            // To yield is of use while the owner runs. If it waits itself, the cycle is found the sooner.
            // SAFETY: nodes are never freed.
            let is_asleep = unsafe { owner.as_ref() }.is_asleep();
            if !is_asleep && spin.wait(is_parked(seen)) == Next::LookAgain {
                continue;
            }
            let announced = seen.map_addr(|addr| addr | PARKED);
            // Ordering: Relaxed. It publishes nothing, and the bucket lock orders the park.
            if seen != announced
                && self.word.compare_exchange(seen, announced, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            me.stamp_it();
            me.waits_how(if deadline.is_never() { 0 } else { TIMED });
            let is_announced = || {
                // Ordering: Relaxed. Under the bucket lock, in which the word is changed once it has this bit.
                let is_announced = self.word.load(Relaxed) == announced;
                if is_announced {
                    me.begin_wait(self, WaitOf::new(Waits::ToEnter, at));
                }
                is_announced
            };
            // SAFETY: threads park on this key here alone, with what this one parks with.
            if !unsafe { waiter.as_ref().queue(Self::key(self), Position::Back, is_announced) } {
                continue;
            }
            graph::look(me);
            let hidden = Hidden::while_waiting();
            let status = waiter.as_ref().sleep::<R>(deadline, flags);
            drop(hidden);
            match self.ended(me, status) {
                Ended::Granted => {
                    me.has_woken();
                    return Ok(());
                }
                Ended::Aborted(deadlock) => return Err(Blocked::Deadlock(deadlock)),
                Ended::Woken => spin.on_wake(),
                Ended::Interrupted if flags.on_interrupt::<R>().is_some() => {
                    return Err(Blocked::Interrupted);
                }
                Ended::Interrupted => {}
                Ended::Timeout => {
                    return if self.try_enter(me) { Ok(()) } else { Err(Blocked::Timeout) };
                }
            }
        }
    }

    /// What has become of the wait of the calling thread, which is off the queue.
    fn ended(&self, me: &'static Node, status: ParkStatus) -> Ended {
        if status != ParkStatus::Ok {
            // It has left the queue by itself. A walker reads the word of this lock only if this says so.
            inspect(Self::key(self), |_| me.wants_nothing());
        }
        let word = me.wait_word();
        match word.state() {
            State::Granted => Ended::Granted,
            State::Waiting if me.settle(word, State::Idle) => match status {
                ParkStatus::Timeout => Ended::Timeout,
                ParkStatus::Interrupted => Ended::Interrupted,
                ParkStatus::Ok | ParkStatus::Again => Ended::Woken,
            },
            State::Idle => Ended::Woken,
            // Between the look and the exchange it may have been handed the lock, or have lost.
            State::Waiting => match me.wait_word().state() {
                State::Granted => Ended::Granted,
                _ => Ended::Aborted(Deadlock::of_loser(me)),
            },
            State::Aborted => Ended::Aborted(Deadlock::of_loser(me)),
            State::Claimed | State::Cancelled | State::ToCancel => {
                unreachable!("only a wait for a condition can be so")
            }
        }
    }
}

/// A wait has ended outside, be it by a panic of a pending call or of a hook: the age that it has brought is over with it.
struct NotInside(&'static Node);

impl Drop for NotInside {
    fn drop(&mut self) {
        if self.0.is_outside() {
            self.0.has_left_all();
        }
    }
}

/// What has become of a wait.
enum Ended {
    Granted,
    Aborted(Deadlock),
    Woken,
    Interrupted,
    Timeout,
}
