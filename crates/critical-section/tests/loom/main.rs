//! loom: do sections exclude, publish, let go and resume under every order of steps? Two threads
//! exhaustively where that ends in seconds, else within a bound of preemptions.
//!
//! `RUSTFLAGS="--cfg pysync_loom" cargo test --release -p pysync-critical-section --test loom -- --nocapture`
//!
//! What a section guards is a `Data`, in which loom reports two accesses that nothing orders. A wake
//! that is lost, or a thread that sleeps with its mutexes locked, shows as a deadlock. Each model
//! runs without hand-offs and with nothing but hand-offs.
#![cfg(pysync_loom)]

mod exclusion;
mod nesting;
mod stopping;
mod suspension;

use pysync_critical_section::{
    Attached, ThreadState, assert_held, critical_section, critical_section2,
};
use pysync_lock::{Event, Mutex};
use pysync_testing::model::{Data, Explore, Unlock};

/// No bound on preemptions.
const EXHAUSTIVE: Option<usize> = None;

/// A mutex and what it guards.
#[derive(Default)]
struct Object {
    mutex: Mutex,
    data: Data,
}

impl Object {
    /// A section of the object: it writes, does what `inner` does, and writes again.
    fn section(&self, inner: impl FnOnce()) {
        critical_section(&self.mutex, || {
            self.data.add_one();
            inner();
            self.data.add_one();
        });
    }
}

/// Two objects that lie in the order of their addresses.
#[derive(Default)]
#[repr(C)]
struct Shared {
    a: Object,
    b: Object,
    event: Event,
}

impl Shared {
    /// A section of both objects, named in either order.
    fn section2(&self, swapped: bool, inner: impl FnOnce()) {
        let (a, b) = (&self.a, &self.b);
        let (first, second) = if swapped { (b, a) } else { (a, b) };
        critical_section2(&first.mutex, &second.mutex, || {
            a.data.add_one();
            b.data.add_one();
            inner();
            a.data.add_one();
            b.data.add_one();
        });
    }

    /// So often has each object been written, and neither is locked.
    fn assert(&self, writes: [u32; 2]) {
        assert_eq!([self.a.data.get(), self.b.data.get()], writes);
        assert!(!self.a.mutex.is_locked() && !self.b.mutex.is_locked());
    }
}

/// What an attached thread of a model does.
type Body = fn(&Shared, &Attached);

fn nothing() {}

/// Explores `bodies`, each on an attached thread of its own; then so often has each object been
/// written.
fn check<const N: usize>(
    name: &str,
    preemptions: Option<usize>,
    bodies: [Body; N],
    writes: [u32; 2],
) {
    let attached = |s: &Shared, body: Body| body(s, &ThreadState::attach());
    with_and_without_hand_offs(name, preemptions, |model| {
        model.run_in(Shared::default, attached, bodies, move |s| s.assert(writes));
    });
}

/// Runs a model with no unlock that hands over, and with all of them doing so; within a bound of
/// preemptions, if there is one.
fn with_and_without_hand_offs(name: &str, preemptions: Option<usize>, run: impl Fn(Explore)) {
    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        let model = Explore::new(name).unlock(unlock);
        run(match preemptions {
            None => model,
            Some(most) => model.preemptions(most),
        });
    }
}
