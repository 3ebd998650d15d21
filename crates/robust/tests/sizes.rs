//! Sizes, alignments, and what may be sent to another thread.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::fmt::Debug;

use pysync_robust::{ALIGN, Error, Kind, Ownership, RawMutex, SIZE, State, Timeout};

#[test]
fn a_mutex_takes_128_bytes_everywhere() {
    assert_eq!((SIZE, ALIGN), (128, 8));
    assert_eq!(SIZE % ALIGN, 0, "they can lie in an array");
}

#[test]
fn the_raw_form_is_a_pointer() {
    assert_eq!(size_of::<RawMutex>(), size_of::<*mut u8>());
    assert_eq!(size_of::<Option<RawMutex>>(), size_of::<*mut u8>());
}

#[test]
fn errors_and_timeouts_are_small() {
    assert!(size_of::<Error>() <= 24);
    assert!(size_of::<Result<Ownership, Error>>() <= 24);
    assert!(size_of::<State>() <= 8);
    assert!(size_of::<Timeout>() <= 16);
    assert_eq!((size_of::<Kind>(), size_of::<Ownership>()), (1, 1));
}

#[test]
fn all_are_plain_values() {
    fn promised<T: Copy + Send + Sync + PartialEq + Debug + 'static>() {}
    promised::<RawMutex>();
    promised::<Error>();
    promised::<State>();
    promised::<Kind>();
    promised::<Ownership>();
    promised::<Timeout>();
}
