//! Sizes, offsets and marks of the raw sections, and what may move between threads.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::pin::pin;
use std::ptr;

use common::words;
use pysync_critical_section::{Attached, CriticalSection, CriticalSection2, ThreadState};
use pysync_lock::Mutex;
use pysync_testing::watchdog;

/// Fails to compile unless the type is none of the traits: a type that is has two candidates for
/// `some_item`.
macro_rules! assert_not_impl {
    ($type:ty: $($bound:path),*) => {$(
        const _: fn() = || {
            trait Ambiguous<A> {
                fn some_item() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Holds;
            impl<T: ?Sized + $bound> Ambiguous<Holds> for T {}
            <$type as Ambiguous<_>>::some_item();
        };
    )*};
}

assert_not_impl!(Attached: Send, Sync, Clone);
assert_not_impl!(CriticalSection: Send, Sync, Unpin, Clone);
assert_not_impl!(CriticalSection2: Send, Sync, Unpin, Clone);
assert_not_impl!(ThreadState: Clone, Default);
const fn assert_sync<T: Sync>() {}
const _: () = assert_sync::<ThreadState>();

#[test]
fn a_mutex_is_a_byte() {
    assert_eq!((size_of::<Mutex>(), align_of::<Mutex>()), (1, 1));
}

#[test]
#[cfg(target_pointer_width = "64")]
fn sections_have_the_sizes_of_c() {
    assert_eq!((size_of::<CriticalSection>(), align_of::<CriticalSection>()), (16, 8));
    assert_eq!((size_of::<CriticalSection2>(), align_of::<CriticalSection2>()), (24, 8));
}

#[test]
fn a_section_that_has_not_begun_is_all_zeroes() {
    assert_eq!(words(&CriticalSection::new()), [0, 0]);
    assert_eq!(words(&CriticalSection2::new()), [0, 0, 0]);
    assert_eq!(words(&CriticalSection::default()), [0, 0]);
    assert_eq!(words(&CriticalSection2::default()), [0, 0, 0]);
}

#[test]
fn a_section_is_the_link_outwards_and_its_mutexes() {
    let _watchdog = watchdog();
    let attached = ThreadState::attach();
    let (m, pair) = (Mutex::new(), [Mutex::new(), Mutex::new()]);
    let (one, two, top) =
        (pin!(CriticalSection::new()), pin!(CriticalSection2::new()), pin!(CriticalSection::new()));
    let (one, two, top) = (one.as_ref(), two.as_ref(), top.as_ref());
    let addr = |m| ptr::from_ref::<Mutex>(m).addr();
    let one_addr = ptr::from_ref(one.get_ref()).addr();
    let two_addr = ptr::from_ref(two.get_ref()).addr();
    let top_mutex = Mutex::new();

    // SAFETY: each is ended below, in the opposite order.
    unsafe { one.begin(&m) };
    assert_eq!(words(one.get_ref()), [0, addr(&m)]);
    assert_eq!(attached.top(), Some(one_addr));

    // SAFETY: as above.
    unsafe { two.begin(&pair[1], &pair[0]) };
    assert_eq!(words(two.get_ref()), [one_addr, addr(&pair[0]), addr(&pair[1])]);
    assert_eq!(attached.top(), Some(two_addr), "without its mark");

    // SAFETY: as above.
    unsafe { top.begin(&top_mutex) };
    assert_eq!(words(top.get_ref()), [two_addr | 2, addr(&top_mutex)], "2 marks two mutexes");
    attached.detached(|| {
        assert_eq!(words(top.get_ref()), [two_addr | 3, addr(&top_mutex)], "1 marks suspended");
        assert_eq!(words(two.get_ref()), [one_addr | 1, addr(&pair[0]), addr(&pair[1])]);
        assert_eq!(words(one.get_ref()), [0, addr(&m)]);
    });

    // SAFETY: begun above, in the opposite order.
    unsafe {
        top.end();
        two.end();
        one.end();
    }
    assert_eq!(attached.top(), None);
    let [_, mutex] = words(one.get_ref());
    let [_, mutex1, mutex2] = words(two.get_ref());
    assert_eq!((mutex, mutex1, mutex2), (0, 0, 0), "an ended section has no mutex");
}

#[test]
fn a_section_that_had_nothing_to_lock_has_no_mutex() {
    let _watchdog = watchdog();
    let _attached = ThreadState::attach();
    let (a, b) = (Mutex::new(), Mutex::new());
    let (outer, one, two) = (
        pin!(CriticalSection2::new()),
        pin!(CriticalSection::new()),
        pin!(CriticalSection2::new()),
    );
    let (outer, one, two) = (outer.as_ref(), one.as_ref(), two.as_ref());
    // SAFETY: each is ended below, in the opposite order.
    unsafe {
        outer.begin(&a, &b);
        one.begin(&b);
        two.begin(&a, &b);
    }
    assert_eq!(words(one.get_ref()), [0, 0]);
    assert_eq!(words(two.get_ref()), [0, 0, 0]);
    // SAFETY: begun above.
    unsafe {
        two.end();
        one.end();
        outer.end();
    }
}
