//! What the types promise without doing anything.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::fmt::Debug;
use std::mem::size_of;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::null_mut;
use std::time::Duration;

use pysync_parking_lot::{
    Deadline, Native, ParkStatus, Parker, PendingCallError, RawMutex, ThreadHooks, Unparked,
};

use pysync_platform::monotonic_now;

static RAW_MUTEX: RawMutex = RawMutex::new();
static SEMAPHORE: Parker = Parker::new();

#[test]
fn shared_types_are_send_and_sync_and_unwind_safe() {
    fn shared<T: Send + Sync + UnwindSafe + RefUnwindSafe + Debug>() {}
    shared::<RawMutex>();
    shared::<Parker>();
    shared::<Deadline>();
    shared::<ParkStatus>();
    shared::<PendingCallError>();
    shared::<ThreadHooks>();
    shared::<Native>();
}

#[test]
fn the_statuses_have_the_values_of_c() {
    assert_eq!(size_of::<ParkStatus>(), 4);
    let values = [ParkStatus::Ok, ParkStatus::Again, ParkStatus::Timeout, ParkStatus::Interrupted];
    assert_eq!(values.map(|status| status as i32), [0, -1, -2, -3]);
}

#[test]
fn sizes_are_what_they_should_be() {
    assert_eq!(size_of::<RawMutex>(), size_of::<usize>());
    assert_eq!(size_of::<Deadline>(), 8);
    assert_eq!(size_of::<Option<Duration>>(), 16, "no bigger for being optional");
}

#[test]
fn everything_has_a_debug_form() {
    assert_eq!(format!("{RAW_MUTEX:?}"), "RawMutex { locked: false }");
    let locked = RawMutex::new();
    locked.lock();
    assert_eq!(format!("{locked:?}"), "RawMutex { locked: true }");
    assert_eq!(format!("{SEMAPHORE:?}"), "Parker { .. }");
    assert_eq!(format!("{:?}", ParkStatus::Interrupted), "Interrupted");
    let unparked = Unparked { park_arg: null_mut(), has_more_waiters: true };
    assert!(format!("{unparked:?}").contains("has_more_waiters: true"));
    assert!(format!("{:?}", Deadline::NEVER).starts_with("Deadline("));
    assert_eq!(format!("{Native:?}"), "Native");
}

#[test]
fn the_clock_does_not_run_backwards() {
    let mut last = monotonic_now();
    for _ in 0..10_000 {
        let now = monotonic_now();
        assert!(now >= last);
        last = now;
    }
}

#[test]
fn deadlines_compare_by_time() {
    let now = monotonic_now();
    let [sooner, later] =
        [1, 2].map(|seconds| Deadline::at(now, Some(Duration::from_secs(seconds))));
    assert!(sooner < later && later < Deadline::NEVER);
    assert_eq!(later.as_nanos() - sooner.as_nanos(), 1_000_000_000);
    assert_eq!(Deadline::at(now, None), Deadline::NEVER);
    assert!(Deadline::at(now, Some(Duration::ZERO)).has_passed());
    assert!(!later.is_never());
}
