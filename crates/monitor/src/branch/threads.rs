//! The threads of a branch: the standard library's, or those of a model.

pub use std::thread::Builder;

#[cfg(not(any(pysync_loom, pysync_shuttle)))]
mod imp {
    use std::io;
    pub(crate) use std::thread::{Scope as Threads, scope};

    use super::Builder;

    pub(crate) fn spawn<'s>(
        threads: &'s Threads<'s, '_>,
        builder: Builder,
        f: impl FnOnce() + Send + 's,
    ) -> io::Result<()> {
        builder.spawn_scoped(threads, f).map(drop)
    }
}

/// loom has no scopes, and the end of one of shuttle's wakes its opener wherever that waits.
#[cfg(any(pysync_loom, pysync_shuttle))]
mod imp {
    use std::io;
    use std::marker::PhantomData;
    use std::mem;
    use std::sync::Mutex;

    use pysync_platform::primitive::thread::{self, JoinHandle};

    use super::Builder;

    pub(crate) struct Threads<'s, 'env: 's> {
        all: Mutex<Vec<JoinHandle<()>>>,
        _s: PhantomData<&'s mut &'s ()>,
        _env: PhantomData<&'env mut &'env ()>,
    }

    pub(crate) fn scope<'env, T>(f: impl for<'s> FnOnce(&'s Threads<'s, 'env>) -> T) -> T {
        let threads = Threads { all: Mutex::default(), _s: PhantomData, _env: PhantomData };
        let result = f(&threads);
        let next = || threads.all.lock().unwrap().pop();
        while let Some(thread) = next() {
            thread.join().unwrap();
        }
        result
    }

    pub(crate) fn spawn<'s>(
        threads: &'s Threads<'s, '_>,
        _: Builder,
        f: impl FnOnce() + Send + 's,
    ) -> io::Result<()> {
        let f: Box<dyn FnOnce() + Send + 's> = Box::new(f);
        // SAFETY: `scope` joins the thread, and a model that unwinds is over.
        let f: Box<dyn FnOnce() + Send> = unsafe { mem::transmute(f) };
        threads.all.lock().unwrap().push(thread::spawn(f));
        Ok(())
    }
}

pub(crate) use imp::{Threads, scope, spawn};
