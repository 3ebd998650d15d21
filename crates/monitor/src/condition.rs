//! Waits for the value of a monitor to become what a thread needs.
//!
//! The thread that leaves evaluates the conditions of those that wait, while it still is inside, and hands the monitor
//! to the first whose condition is true. So a waiter that returns has its condition, and no other thread was inside in
//! between; none is woken to find that another was quicker.
//!
//! A waiter is *claimed* while its condition is evaluated, which happens with no lock of a bucket: it stays where it is
//! until that is over.

use std::any::Any;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::ptr;

use pysync_parking_lot::{Choice, Position, Waiter, inspect, unpark_filter};
use pysync_platform::primitive::{UnsafeCell, plain};
use pysync_platform::{Backoff, Deadline, LockFlags, ParkStatus, Runtime};

use crate::frame::Frame;
use crate::graph;
use crate::lock::Lock;
use crate::node::{CANCELLABLE, FOR_CONDITION, Node, State, TIMED, WaitOf};
use crate::nodes::Hidden;
use crate::predicate::Predicate;
use crate::report::{self, Deadlock};
use crate::scope;

/// A thread that waits for a condition: what it parks with.
pub(crate) struct Waits {
    node: &'static Node,
    /// Its place in the order of those that wait, by a count of all.
    turn: usize,
    is_true: unsafe fn(*const ()) -> bool,
    data: *const (),
    /// What tells a condition for which several threads wait, or null.
    shared: *const (),
    /// What the evaluation has thrown.
    panic: UnsafeCell<Option<Box<dyn Any + Send>>>,
}

/// A condition over a value.
struct Data<'a, T: ?Sized, P> {
    ready: &'a P,
    value: *const T,
}

/// What has become of a wait.
pub(crate) enum Waited {
    /// The condition is true, and the thread is inside.
    True,
    /// The thread is not inside.
    Deadlock(Deadlock),
    /// The thread is not inside.
    Cancelled,
    /// The thread is not inside.
    Timeout,
    /// The thread is not inside.
    Interrupted,
}

static TURNS: plain::AtomicUsize = plain::AtomicUsize::new(0);

/// # Safety
/// `data` is a `Data<T, P>`, and the calling thread is inside.
unsafe fn is_true<T: ?Sized, P: Predicate<T>>(data: *const ()) -> bool {
    // SAFETY: by contract.
    let data = unsafe { &*data.cast::<Data<'_, T, P>>() };
    // SAFETY: as above: the calling thread has the value to itself.
    data.ready.is_true(unsafe { &*data.value })
}

/// Waits until `ready` is true of `value`, or gives up.
///
/// # Safety
/// The calling thread is inside, by this frame, and has no reference to the value.
pub(crate) unsafe fn wait<R: Runtime, T: ?Sized, P: Predicate<T>>(
    (lock, frame, me): (&Lock, &Frame, &'static Node),
    (value, ready): (*const T, &P),
    at: &'static Location<'static>,
    (deadline, flags): (Deadline, LockFlags),
) -> Waited {
    let data = Data { ready, value };
    let waits = Waits {
        node: me,
        turn: TURNS.fetch_add(1, plain::Ordering::Relaxed),
        is_true: is_true::<T, P>,
        data: ptr::from_ref(&data).cast(),
        shared: ready.shared(),
        panic: UnsafeCell::new(None),
    };
    let waiter = pin!(Waiter::new(ptr::from_ref(&waits).cast_mut().cast()));
    let waiter = waiter.as_ref();
    me.stamp_it();
    lock.announce_condition();
    let cancellable = if scope::is_in_scope() { CANCELLABLE } else { 0 };
    me.waits_how(FOR_CONDITION | cancellable | if deadline.is_never() { 0 } else { TIMED });
    // Before the wait is told to others, who read the frame from then on.
    frame.is_inside.set(false);
    let wait_of = WaitOf::new(report::Waits::ForCondition(ready.name()), at);
    // Queued first: a thread that ends the wait finds it there.
    // SAFETY: threads park on this key here alone, with such an argument.
    unsafe { waiter.queue(Lock::conditions_key(lock), Position::Back, || true) };
    inspect(Lock::key(lock), |_| me.begin_wait(lock, wait_of));
    lock.leave(me);
    graph::look(me);
    // The fence of the look comes after the publication of the wait, and before this look at the flag.
    if scope::is_cancelled() {
        me.cancel();
    }
    // By this thread, or by one that has not found it in the queue, since it came before the wait was told in full.
    if me.wait_word().state() == State::Cancelled {
        waiter.leave();
    }
    let status = match waiter.is_queued() {
        true => {
            let _hidden = Hidden::while_waiting();
            waiter.sleep::<R>(deadline, flags)
        }
        false => ParkStatus::Ok,
    };
    let ended = ended(me);
    if ended != State::Granted {
        inspect(Lock::key(lock), |_| me.wants_nothing());
    }
    match ended {
        State::Granted => {
            me.has_woken();
            frame.is_inside.set(true);
            // SAFETY: the evaluator is done with it, and has handed it over.
            if let Some(payload) = waits.panic.with_mut(|panic| unsafe { (*panic).take() }) {
                std::panic::resume_unwind(payload);
            }
            Waited::True
        }
        State::Aborted => Waited::Deadlock(Deadlock::of_loser(me)),
        State::Cancelled => Waited::Cancelled,
        _ if status == ParkStatus::Interrupted => Waited::Interrupted,
        _ => Waited::Timeout,
    }
}

/// How the wait of the calling thread, which is on no queue, has been decided.
fn ended(me: &Node) -> State {
    let mut backoff = Backoff::new();
    loop {
        let word = me.wait_word();
        match word.state() {
            // Its condition is being evaluated, though it has given up.
            State::Claimed | State::ToCancel => backoff.snooze(),
            State::Waiting if !me.settle(word, State::Idle) => {}
            state => return state,
        }
    }
}

/// Wakes a thread that waits for a condition, whose wait has been ended.
pub(crate) fn wake(lock: *const Lock, node: &'static Node) {
    let choose = |arg: *mut ()| {
        // SAFETY: threads park on this key with such an argument, which is there while they are queued.
        let waits = unsafe { &*arg.cast_const().cast::<Waits>() };
        // Not if the wait that was ended is over, and this is another one.
        let has_ended = || !matches!(node.wait_word().state(), State::Waiting | State::Claimed);
        if ptr::eq(waits.node, node) && has_ended() { Choice::Unpark } else { Choice::Skip }
    };
    unpark_filter(Lock::conditions_key(lock), choose, |_| ());
}

/// Evaluates the conditions of those that wait, in their order, until one is true, and hands the monitor to it; false
/// if none is. Called by the thread that is inside.
pub(crate) fn serve(lock: &Lock) -> bool {
    let key = Lock::conditions_key(lock);
    let mut turn = None;
    // Conditions that are false, the last ones found so. They are not evaluated again for others that wait.
    let mut known = [ptr::null(); 4];
    let mut next_known = 0;
    loop {
        // The next one that waits still, which stays in its place from here on.
        let claimed = inspect(key, |args| {
            let mut is_empty = true;
            let mut waiters = args.map(|arg| arg.cast_const().cast::<Waits>());
            let found = waiters.find(|&waits| {
                is_empty = false;
                // SAFETY: threads park on this key with such an argument, which is there while they are queued.
                let waits = unsafe { &*waits };
                let is_next = turn.is_none_or(|turn| waits.turn > turn);
                let is_known = !waits.shared.is_null() && known.contains(&waits.shared);
                is_next && !is_known && waits.node.settle(waits.node.wait_word(), State::Claimed)
            });
            if turn.is_none() && is_empty {
                lock.forget_conditions();
            }
            found
        });
        let Some(waits) = claimed else { return false };
        // SAFETY: claimed, so that its thread leaves it where it is.
        let waits = unsafe { &*waits };
        turn = Some(waits.turn);
        let shared = waits.shared;
        // SAFETY: this thread is inside.
        let result = catch_unwind(AssertUnwindSafe(|| unsafe {
            let _hidden = Hidden::while_evaluating();
            (waits.is_true)(waits.data)
        }));
        let node = waits.node;
        let is_over = match result {
            Ok(is_true) => is_true,
            Err(payload) => {
                // SAFETY: claimed: its thread does not look before it is handed over.
                waits.panic.with_mut(|panic| unsafe { *panic = Some(payload) });
                true
            }
        };
        if !is_over {
            if node.unclaim(State::Waiting) == State::Cancelled {
                wake(lock, node);
            }
            if !shared.is_null() {
                known[next_known % known.len()] = shared;
                next_known += 1;
            }
            continue;
        }
        // From here on the monitor is its own.
        lock.hand_to(node);
        inspect(Lock::key(lock), |_| node.wants_nothing());
        let arg = ptr::from_ref(waits).cast_mut().cast::<()>();
        // It may have given up the sleep, and then is on no queue. Granted under the lock of the bucket, so that a waker
        // that comes from elsewhere does not find it.
        let choose = |other: *mut ()| if other == arg { Choice::Unpark } else { Choice::Skip };
        unpark_filter(key, choose, |_| _ = node.unclaim(State::Granted));
        return true;
    }
}
