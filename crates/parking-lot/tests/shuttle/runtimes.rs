//! Detaching and attaching may unpark.

use super::*;

shuttle::thread_local! {
    static PARKED_ON: Cell<*const AtomicU8> = Cell::new(null_mut());
    static DETACHES: Cell<u32> = Cell::new(0);
}

/// Detaching unparks one thread of its own address, perhaps itself; attaching finds the
/// address as free of it as if it had never waited.
struct Nosy;

impl Runtime for Nosy {
    type Detached = ();

    fn detach() -> Option<()> {
        DETACHES.with(|count| count.set(count.get() + 1));
        unpark(PARKED_ON.with(Cell::get), |_| {});
        Some(())
    }

    fn attach((): ()) {
        DETACHES.with(|count| count.set(count.get() - 1));
        unpark(PARKED_ON.with(Cell::get), |_| {});
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        Ok(())
    }

    fn thread_ident() -> u64 {
        Native::thread_ident()
    }

    fn fatal_error(function: &'static str, message: &str) -> ! {
        Native::fatal_error(function, message)
    }
}

#[test]
fn a_detach_and_an_attach_may_unpark() {
    fn wait(word: &AtomicU8, timeout: Option<Duration>) {
        PARKED_ON.with(|parked_on| parked_on.set(word));
        let deadline = Deadline::after(timeout);
        park_in::<Nosy, _>(word, 0, deadline, no_arg(), true);
        assert_eq!(DETACHES.with(Cell::get), 0, "as many attaches as detaches");
    }
    // The last to detach unparks another, so no thread needs a wake from outside.
    try_out("detach and attach unpark").run(
        AtomicU8::default,
        [|word| wait(word, None), |word| wait(word, SOON), |word| wait(word, None)],
        |word| unpark(&raw const *word, |unparked| assert!(unparked.is_none(), "left behind")),
    );
}
