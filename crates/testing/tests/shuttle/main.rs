//! What the kit for models finds under shuttle.
//!
//! `RUSTFLAGS="--cfg pysync_shuttle" cargo test --release -p pysync-testing --test shuttle -- --nocapture`
#![cfg(pysync_shuttle)]

use pysync_testing::model::{Data, Section, TryOut};

#[derive(Default)]
struct Shared {
    data: Data,
    section: Section,
}

#[test]
fn reads_at_a_time_are_let_be() {
    fn look(s: &Shared) {
        assert_eq!(s.data.get(), 0);
    }
    TryOut::new("3 looks", 600).run(Shared::default, [look, look, look], |_| {});
}

#[test]
#[should_panic(expected = "two accesses at a time")]
fn a_write_at_a_time_with_a_read_is_reported() {
    fn look(s: &Shared) {
        s.data.get();
    }
    TryOut::new("a look and a write", 600).run(Shared::default, [look, |s| s.data.set(1)], |_| {});
}

#[test]
#[should_panic(expected = "two accesses at a time")]
fn two_in_a_section_are_reported() {
    TryOut::new("2 in a section", 600).run(
        Shared::default,
        [|s| s.section.enter(), |s| s.section.enter()],
        |_| {},
    );
}
