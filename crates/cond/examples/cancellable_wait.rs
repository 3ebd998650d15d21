//! A wait for a value that ends with the value, at a deadline, or when it is called off.
//!
//! ```sh
//! cargo run --package pysync-cond --example cancellable_wait
//! ```

use std::thread;
use std::time::Duration;

use pysync_cond::guarded::Condvar;
use pysync_cond::{Cancel, Deadline, LockFlags, WaitStatus};
use pysync_lock::guarded::Mutex;

#[derive(Default)]
struct Mailbox {
    letter: Mutex<Option<String>>,
    arrived: Condvar,
}

impl Mailbox {
    fn put(&self, letter: &str) {
        *self.letter.lock() = Some(letter.into());
        self.arrived.notify_one();
    }

    /// The letter, or why there is none.
    fn take(&self, deadline: Deadline, cancel: &Cancel) -> Result<String, WaitStatus> {
        let mut letter = self.letter.lock();
        let status = self.arrived.wait_while_flags(
            &mut letter,
            |letter| letter.is_none(),
            deadline,
            LockFlags::DETACH,
            Some(cancel),
        );
        // Whatever has ended the wait, the mutex is locked again, and a letter that is there counts.
        letter.take().ok_or(status)
    }
}

fn main() {
    let mailbox = Mailbox::default();
    let (one, other) = (Cancel::new(), Cancel::new());

    // Two wait in the same mailbox. One of them is called off, whether it sleeps by now or has not
    // begun to wait: a `Cancel` stays set. The other goes on.
    thread::scope(|scope| {
        let called_off = scope.spawn(|| mailbox.take(Deadline::NEVER, &one));
        mailbox.arrived.cancel(&one);
        assert_eq!(called_off.join().unwrap(), Err(WaitStatus::Cancelled));
        println!("one was called off");

        let goes_on = scope.spawn(|| mailbox.take(Deadline::NEVER, &other));
        mailbox.put("hello");
        println!("the other got {:?}", goes_on.join().unwrap().unwrap());
    });

    // A deadline is a point in time, so that a loop of waits does not prolong it.
    let deadline = Deadline::after(Some(Duration::from_millis(10)));
    assert_eq!(mailbox.take(deadline, &other), Err(WaitStatus::TimedOut));
    println!("nothing came in time");
}
