//! A thread that says that it is away.

use std::marker::PhantomData;

use pysync_platform::{PendingCallError, Runtime};

use crate::shared::node;

/// Runs `f`, for as long as which other threads do not wait for this one to do its part as an owner: an
/// object whose last handle they drop is merged, and dropped, by them.
///
/// For code that may block for long: a read from a socket, a `join`, a wait on a foreign lock. Inside, the
/// calling thread clones and drops as one that owns nothing, and what it makes has no owner. Inside of
/// another `away` it does nothing.
///
/// Empties the inbox of the calling thread first, and so may run destructors. Blocks at the end while another
/// thread merges an object of this one, for a few instructions.
///
/// A fork inside leaves the child's thread away until `f` returns there. See
/// [`after_fork`](crate::after_fork).
///
/// # Panics
/// If `f` does, or a destructor. The thread is back then.
///
/// ```
/// use pysync_reclaim::Shared;
///
/// let (sender, receiver) = std::sync::mpsc::channel::<Shared<String>>();
/// let other = std::thread::spawn(move || receiver.recv().unwrap().len());
/// sender.send(Shared::new("a".to_string())).unwrap();
/// // The other thread drops the string itself, while this one waits.
/// assert_eq!(pysync_reclaim::away(|| other.join().unwrap()), 1);
/// ```
pub fn away<R>(f: impl FnOnce() -> R) -> R {
    struct Return;
    impl Drop for Return {
        fn drop(&mut self) {
            node::return_home();
        }
    }
    if !node::is_here() {
        return f();
    }
    let _return = Return;
    node::go_away();
    f()
}

/// A runtime `R` whose threads are [`away`] while they are detached, for the waits of pysync's locks that
/// take a runtime.
///
/// ```
/// use pysync_platform::{Native, Runtime};
/// use pysync_reclaim::Reclaiming;
///
/// fn sleeps_as_owner<R: Runtime>() -> bool {
///     R::detach().map(R::attach).is_none()
/// }
/// // The thread has made no object, and native threads have no runtime to detach from.
/// assert!(sleeps_as_owner::<Reclaiming<Native>>());
/// let mine = pysync_reclaim::Shared::new(());
/// assert!(!sleeps_as_owner::<Reclaiming<Native>>());
/// # drop(mine);
/// ```
///
/// A detach empties the inbox of its thread and so may run destructors, whose panics abort the process, as
/// any panic of a detach does.
#[derive(Debug)]
pub struct Reclaiming<R>(PhantomData<R>);

/// What a [`Reclaiming`] runtime has detached.
#[derive(Debug)]
pub struct Detached<D> {
    inner: Option<D>,
    went_away: bool,
}

impl<R: Runtime> Runtime for Reclaiming<R> {
    type Detached = Detached<R::Detached>;

    fn detach() -> Option<Self::Detached> {
        let went_away = node::go_away();
        let inner = R::detach();
        (went_away || inner.is_some()).then_some(Detached { inner, went_away })
    }

    fn attach(detached: Self::Detached) {
        // Back before an attach that may never return would do no good to those that wait for this thread.
        if let Some(inner) = detached.inner {
            R::attach(inner);
        }
        if detached.went_away {
            node::return_home();
        }
    }

    fn make_pending_calls() -> Result<(), PendingCallError> {
        R::make_pending_calls()
    }

    fn thread_ident() -> u64 {
        R::thread_ident()
    }

    fn fatal_error(function: &'static str, message: &str) -> ! {
        R::fatal_error(function, message)
    }
}
