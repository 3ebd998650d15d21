//! shuttle: is the protocol right under random schedules, with signals, timeouts and hand-offs
//! thrown in at random? A deadlock, a lost wake or a section that does not exclude fails.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-critical-section --test shuttle -- --nocapture`
#![cfg(pysync_shuttle)]

mod nesting;
mod programs;
mod suspension;
mod world;

use std::time::Duration;

use pysync_critical_section::{
    Attached, ThreadState, assert_held, critical_section, critical_section2,
};
use pysync_lock::{Event, LockFlags, LockStatus, Mutex, RwMutex};
use pysync_testing::model::{Data, TryOut};
use shuttle::thread;

const SOON: Option<Duration> = Some(Duration::from_millis(1));

/// A mutex, and data that is written in its sections.
#[derive(Default)]
struct Object {
    mutex: Mutex,
    data: Data,
}

impl Object {
    fn add_one(&self) {
        assert!(self.mutex.is_locked());
        self.data.add_one();
    }

    fn section(&self, inner: impl FnOnce()) {
        critical_section(&self.mutex, || {
            self.add_one();
            inner();
            assert_held(&self.mutex);
            self.add_one();
        });
    }
}

fn section2(a: &Object, b: &Object, inner: impl FnOnce()) {
    critical_section2(&a.mutex, &b.mutex, || {
        a.add_one();
        b.add_one();
        inner();
        assert_held(&a.mutex);
        assert_held(&b.mutex);
        a.add_one();
        b.add_one();
    });
}

fn nest(outer: &Object, inner: &Object) {
    outer.section(|| inner.section(nothing));
}

fn nothing() {}

#[derive(Default)]
struct Shared {
    objects: [Object; 3],
    event: Event,
    plain: Mutex,
}

impl Shared {
    fn assert_unlocked(&self) {
        assert!(self.objects.iter().all(|object| !object.mutex.is_locked()));
        assert!(!self.plain.is_locked());
    }

    /// So often has each object been written, and nothing is locked.
    fn assert(&self, writes: [u32; 3]) {
        assert_eq!(self.objects.each_ref().map(|object| object.data.get()), writes);
        self.assert_unlocked();
    }
}

/// What an attached thread of a model does.
type Body = fn(&Shared, &Attached);

fn attached(s: &Shared, body: Body) {
    body(s, &ThreadState::attach());
}

/// A model under as many schedules as all of these have.
fn try_out(name: &str) -> TryOut {
    TryOut::new(name, 18_000)
}

/// Tries out `bodies`, each on an attached thread of its own; then so often has each object been
/// written.
fn check<const N: usize>(name: &str, bodies: [Body; N], writes: [u32; 3]) {
    try_out(name).run_in(Shared::default, attached, bodies, move |s| s.assert(writes));
}
