//! A queue with room for so many items: producers wait while it is full, consumers while it is empty.
//!
//! ```sh
//! cargo run --package pysync-cond --example bounded_buffer
//! ```

use std::collections::VecDeque;
use std::thread;

use pysync_cond::guarded::Condvar;
use pysync_lock::guarded::Mutex;

struct BoundedBuffer<T> {
    state: Mutex<State<T>>,
    not_full: Condvar,
    not_empty: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    room: usize,
    closed: bool,
}

impl<T> BoundedBuffer<T> {
    const fn with_room_for(room: usize) -> Self {
        Self {
            state: Mutex::new(State { items: VecDeque::new(), room, closed: false }),
            not_full: Condvar::new(),
            not_empty: Condvar::new(),
        }
    }

    fn push(&self, item: T) {
        let mut state = self.state.lock();
        self.not_full.wait_while(&mut state, |state| state.items.len() == state.room);
        state.items.push_back(item);
        // The mutex is held, so a consumer that waits is moved to its queue, and is woken once it can
        // have it. To notify after the unlock is right too.
        self.not_empty.notify_one();
    }

    /// None once the buffer is closed and empty.
    fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        self.not_empty.wait_while(&mut state, |state| state.items.is_empty() && !state.closed);
        let item = state.items.pop_front()?;
        self.not_full.notify_one();
        Some(item)
    }

    /// No more items come.
    fn close(&self) {
        self.state.lock().closed = true;
        // The flag concerns every consumer that waits.
        self.not_empty.notify_all();
    }
}

fn main() {
    static BUFFER: BoundedBuffer<u64> = BoundedBuffer::with_room_for(4);

    let consumers = [(); 2].map(|()| {
        thread::spawn(|| {
            let mut taken = Vec::new();
            while let Some(item) = BUFFER.pop() {
                taken.push(item);
            }
            taken
        })
    });
    thread::scope(|scope| {
        for producer in 0..2 {
            scope.spawn(move || (0..500).for_each(|item| BUFFER.push(producer * 500 + item)));
        }
    });
    BUFFER.close();

    let mut taken = Vec::new();
    for consumer in consumers {
        let items = consumer.join().unwrap();
        println!("a consumer took {} items", items.len());
        taken.extend(items);
    }
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..1000), "each item once");
}
