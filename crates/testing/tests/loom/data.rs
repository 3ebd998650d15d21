//! loom reports an access to data that nothing orders with another.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use loom::sync::atomic::AtomicBool;
use pysync_testing::model::{Data, Explore};

#[derive(Default)]
struct Shared {
    data: Data,
    ready: AtomicBool,
}

fn publish(s: &Shared) {
    s.data.add_one();
    s.ready.store(true, Release);
}

#[test]
fn an_access_that_is_ordered_is_let_be() {
    fn look(s: &Shared) {
        if s.ready.load(Acquire) {
            assert_eq!(s.data.get(), 1);
        }
    }
    Explore::new("an ordered look").run(Shared::default, [publish, look], |s| {
        assert_eq!(s.data.get(), 1);
    });
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_access_that_nothing_orders_is_reported() {
    fn look(s: &Shared) {
        if s.ready.load(Relaxed) {
            s.data.get();
        }
    }
    Explore::new("an unordered look").run(Shared::default, [publish, look], |_| {});
}
