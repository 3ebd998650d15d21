//! What the compiler makes of a lock and an unlock, in functions that are easy to find:
//!
//! ```sh
//! cargo rustc --release -p pysync-lock --example uncontended -- -C debuginfo=0 --emit asm=lock.s
//! ```
//!
//! `ci/bench.sh` counts their compare-exchanges.

use pysync_lock::Mutex;

#[unsafe(no_mangle)]
fn lock(mutex: &Mutex) {
    mutex.lock();
}

#[unsafe(no_mangle)]
fn unlock(mutex: &Mutex) {
    mutex.unlock();
}

fn main() {
    let mutex = Mutex::new();
    lock(&mutex);
    unlock(&mutex);
}
