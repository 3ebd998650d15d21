//! A thread that others stop while it is detached.

use std::cell::Cell;

use super::*;

/// The objects, and the thread that may be stopped: the one that builds this, and that the models
/// run beside the others.
struct Stoppable {
    objects: Shared,
    state: *const ThreadState,
    /// The thread's own, if it is attached from the beginning.
    attached: Cell<Option<Attached>>,
}

// SAFETY: the thread joins those that look at its state, and it alone uses `attached`.
unsafe impl Send for Stoppable {}
// SAFETY: as for `Send`.
unsafe impl Sync for Stoppable {}

impl Stoppable {
    fn detached() -> Self {
        let this = Self::attached();
        drop(this.attached.take());
        this
    }

    fn attached() -> Self {
        let attached = ThreadState::attach();
        let state = attached.state();
        Self { objects: Shared::default(), state, attached: Cell::new(Some(attached)) }
    }

    fn state(&self) -> &ThreadState {
        // SAFETY: the thread outlives those that it runs beside.
        unsafe { &*self.state }
    }

    fn writes(&self) -> u32 {
        self.objects.a.data.get()
    }
}

/// Writes what the thread writes while it is attached, if it can be stopped.
fn stop_and_start(s: &Stoppable) {
    if s.state().try_stop() {
        s.objects.a.data.add_one();
        s.state().start();
    }
}

#[test]
fn a_thread_is_attached_or_stopped() {
    fn attach_twice(s: &Stoppable) {
        for _ in 0..2 {
            let _attached = ThreadState::attach();
            s.objects.a.data.add_one();
        }
    }
    Explore::new("stop and attach").run_beside(
        Stoppable::detached,
        attach_twice,
        [stop_and_start],
        |s| assert!(matches!(s.writes(), 2 | 3)),
    );

    fn detach(s: &Stoppable) {
        let attached = ThreadState::attach();
        s.objects.a.data.add_one();
        attached.detached(nothing);
        s.objects.a.data.add_one();
    }
    fn stop_twice(s: &Stoppable) {
        stop_and_start(s);
        stop_and_start(s);
    }
    Explore::new("stop twice and attach").preemptions(7).run_beside(
        Stoppable::detached,
        detach,
        [stop_twice],
        |s| assert!(matches!(s.writes(), 2..=4)),
    );
}

#[test]
fn whoever_finds_a_thread_stopped_sees_what_it_did() {
    // Two that stop it and only read, and none that starts it before they are done.
    fn write_and_detach(s: &Stoppable) {
        s.objects.a.data.add_one();
        drop(s.attached.take());
    }
    fn stop_and_read(s: &Stoppable) {
        if s.state().try_stop() {
            assert_eq!(s.writes(), 1);
        }
    }
    Explore::new("two stoppers").run_beside(
        Stoppable::attached,
        write_and_detach,
        [stop_and_read, stop_and_read],
        |_| {},
    );
}

#[test]
fn a_stopped_thread_keeps_its_place_in_the_queue() {
    // It waits for the mutex, may be stopped there, and may have been handed it.
    fn section(s: &Stoppable) {
        let _attached = ThreadState::attach();
        s.objects.b.data.add_one();
        s.objects.a.section(nothing);
        s.objects.b.data.add_one();
    }
    fn stop_in_a_section(s: &Stoppable) {
        let _attached = ThreadState::attach();
        s.objects.a.section(|| {
            if s.state().try_stop() {
                s.objects.b.data.add_one();
                s.state().start();
            }
        });
    }
    let name = "stop a thread that waits for a section";
    with_and_without_hand_offs(name, Some(5), |model| {
        model.run_beside(Stoppable::detached, section, [stop_in_a_section], |s| {
            assert_eq!(s.writes(), 4);
            assert!(!s.objects.a.mutex.is_locked());
        });
    });
}
