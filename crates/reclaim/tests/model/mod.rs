//! Models of the counts and of the finalizer, for loom and for shuttle.

mod counts;
mod finalizer;
mod spread;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

#[cfg(pysync_loom)]
use pysync_testing::model::Explore;
#[cfg(pysync_shuttle)]
use pysync_testing::model::TryOut;

use pysync_reclaim::{Shared, Spread};
use pysync_testing::model::Data;

/// What the values of a model tell when they are read and dropped.
#[derive(Default)]
struct Log {
    /// Read by who has a handle, written by the drop: the checkers report a drop that is not after all reads.
    value: Data,
    drops: AtomicUsize,
}

struct Probe(Arc<Log>);

impl Probe {
    fn read(&self) {
        assert_eq!(self.0.value.get(), 0);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.value.set(1);
        self.0.drops.fetch_add(1, Relaxed);
    }
}

/// An object, and handles for the threads of a model, made by the owner.
struct World {
    log: Arc<Log>,
    handles: Vec<Mutex<Option<Shared<Probe>>>>,
    base: Mutex<Option<Spread<Probe>>>,
    /// A handle on its way from a thread to another.
    #[cfg(pysync_loom)]
    way: loom::sync::Mutex<Option<Shared<Probe>>>,
    #[cfg(pysync_shuttle)]
    way: shuttle::sync::Mutex<Option<Shared<Probe>>>,
}

impl World {
    fn new(handles: usize) -> Self {
        let log = Arc::new(Log::default());
        let first = Shared::new(Probe(log.clone()));
        let mut handles: Vec<_> = (1..handles).map(|_| first.clone()).collect();
        handles.push(first);
        let handles = handles.into_iter().map(|it| Mutex::new(Some(it))).collect();
        Self { log, handles, base: Mutex::default(), way: Default::default() }
    }

    /// With a base besides.
    fn spread(handles: usize) -> Self {
        let world = Self::new(handles);
        let handle = world.take(0);
        *world.base.lock().unwrap() = Some(Shared::spread(&handle));
        world.put(0, handle);
        world
    }

    fn take(&self, index: usize) -> Shared<Probe> {
        self.handles[index].lock().unwrap().take().expect("each is taken once")
    }

    fn put(&self, index: usize, handle: Shared<Probe>) {
        *self.handles[index].lock().unwrap() = Some(handle);
    }

    fn take_base(&self) -> Spread<Probe> {
        self.base.lock().unwrap().take().expect("it is taken once")
    }

    fn drops(&self) -> usize {
        self.log.drops.load(Relaxed)
    }

    fn is_dropped(&self) {
        assert_eq!(self.drops(), 1, "it is dropped once");
    }
}

/// A model, which loom explores with at most so many preemptions, and shuttle tries out.
struct Model {
    name: &'static str,
    #[cfg(pysync_loom)]
    preemptions: Option<usize>,
}

impl Model {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            #[cfg(pysync_loom)]
            preemptions: None,
        }
    }

    #[cfg(pysync_loom)]
    const fn preemptions(self, most: usize) -> Self {
        Self { preemptions: Some(most), ..self }
    }

    #[cfg(pysync_shuttle)]
    const fn preemptions(self, _: usize) -> Self {
        self
    }

    /// Runs `own` on the thread that has built the state, and the others beside it; then `after`, on that
    /// thread too.
    #[cfg(pysync_loom)]
    fn run<S: Send + Sync + 'static, const N: usize>(
        self,
        state: fn() -> S,
        own: fn(&S),
        others: [fn(&S); N],
        after: fn(&S),
    ) {
        let model = Explore::new(self.name);
        let model = match self.preemptions {
            Some(most) => model.preemptions(most),
            None => model,
        };
        model.run_beside(state, own, others, after);
    }

    #[cfg(pysync_shuttle)]
    fn run<S: Send + Sync + 'static, const N: usize>(
        self,
        state: fn() -> S,
        own: fn(&S),
        others: [fn(&S); N],
        after: fn(&S),
    ) {
        TryOut::new(self.name, 8_000).run_model(move || {
            let shared = Arc::new(state());
            let others = others.map(|body| {
                let shared = Arc::clone(&shared);
                shuttle::thread::spawn(move || body(&shared))
            });
            own(&shared);
            others.into_iter().for_each(|thread| thread.join().unwrap());
            after(&shared);
        });
    }
}
