//! What is cancelled together: the body of a branch, its threads, and the branches that these open.
//!
//! A cancel is a flag that stays. A thread looks at the flags of its scope and of those around it, up to the first that
//! was opened in a shield. The waits that have begun already are ended by the thread that cancels:
//!
//! | thread that waits | thread that cancels |
//! |---|---|
//! | says that it waits | sets the flag |
//! | fence | fence |
//! | looks at the flag | looks for waits |
//!
//! One of the two sees the other.

mod joins;
mod sleep;
mod stuck;

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::ptr;

use pysync_parking_lot::unpark_all;
use pysync_platform::primitive;
use pysync_platform::primitive::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release, SeqCst},
    fence,
};

use crate::condition;
use crate::global::GlobalLock;
use crate::node::Node;
use crate::nodes;

pub(crate) use joins::{Joined, joined_by, wake_joiner};
pub use sleep::{check, shield, sleep};
pub(crate) use sleep::{is_cancelled, is_in_scope};
pub(crate) use stuck::look as look_for_stuck;

/// The branch that the calling thread is in has been cancelled, or one around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl std::error::Error for Cancelled {}

primitive::model_static! {
    /// The lock of all scopes: of which are inside of which, of the threads in each, and of the waits for threads. A
    /// thread that has it takes the lock of one bucket at a time.
    static TREE: GlobalLock = GlobalLock::new()
}

primitive::thread_local! {
    /// The scope that the thread is in.
    static CURRENT: Cell<*const Scope> = Cell::new(ptr::null())
}
primitive::thread_local! {
    /// In how many shields the thread is, since it has entered its scope.
    static SHIELDS: Cell<usize> = Cell::new(0)
}

/// Which threads are cancelled together. It lies on the stack of the thread that has opened it, around those of its
/// threads.
pub(crate) struct Scope {
    /// The scope around this one, which outlives it; or null.
    outer: *const Scope,
    /// It was opened in a shield: a cancel of the scope around it does not reach it.
    is_shielded: bool,
    /// Threads outside make no condition inside true.
    is_closed: bool,
    /// The thread that has opened it.
    opener: &'static Node,
    is_cancelled: AtomicBool,
    /// Under the lock of all scopes.
    inside: UnsafeCell<Inside>,
}

struct Inside {
    /// The threads that have been made in it and have not ended.
    children: Vec<Member>,
    /// The scopes inside of it: the first of a list.
    first: *const Scope,
    /// The next one of those in the scope around it.
    next: *const Scope,
}

/// A thread in the scope in which it was made.
#[derive(Clone, Copy)]
struct Member {
    node: &'static Node,
    /// Which of the threads of the scope it is, by the order in which they were made.
    index: usize,
    /// It is about to end, and waits for nothing any more.
    is_ending: bool,
}

/// What the scopes know of a thread.
pub(crate) struct InScopes {
    /// The innermost scope that the thread is in, or null. Under the lock of all scopes, under which scopes are opened
    /// and closed: so it is there.
    scope: Cell<*const Scope>,
    /// Which thread of the scope in its `joins` the thread waits for; `None` if for all. Under the same lock.
    child: Cell<Option<usize>>,
    /// The node that the thread has in a hook while it waits by this one, or null. Under the same lock.
    nested: Cell<*const Node>,
}

impl InScopes {
    pub(crate) fn new() -> Self {
        Self {
            scope: Cell::new(ptr::null()),
            child: Cell::new(None),
            nested: Cell::new(ptr::null()),
        }
    }
}

/// The calling thread, which waits by the one node, has taken the other in a hook: what it waits for there is cancelled
/// with its scope, too.
pub(crate) fn nest(outer: &Node, node: &'static Node) {
    in_tree(|| {
        node.in_scopes.scope.set(CURRENT.with(Cell::get));
        outer.in_scopes.nested.set(node);
    });
}

/// The hook is over.
pub(crate) fn unnest(outer: &Node, node: &Node) {
    in_tree(|| {
        outer.in_scopes.nested.set(ptr::null());
        node.in_scopes.scope.set(ptr::null());
    });
}

// SAFETY: what is inside is accessed under the lock of all scopes.
unsafe impl Sync for Scope {}

/// Calls `f` with the lock of all scopes.
fn in_tree<T>(f: impl FnOnce() -> T) -> T {
    TREE.with(f)
}

impl Scope {
    /// A scope in that of the calling thread, which has to [`open`](Self::open) it where it lies.
    pub(crate) fn new(is_closed: bool) -> Self {
        let inside = Inside { children: Vec::new(), first: ptr::null(), next: ptr::null() };
        Self {
            outer: CURRENT.with(Cell::get),
            is_shielded: SHIELDS.with(Cell::get) > 0,
            is_closed,
            opener: nodes::current(),
            is_cancelled: AtomicBool::new(false),
            inside: UnsafeCell::new(inside),
        }
    }

    /// The calling thread, which has made the scope, is in it until what this returns is dropped.
    ///
    /// # Safety
    /// The scope stays where it is for as long as that.
    pub(crate) unsafe fn open(&self) -> Opened<'_> {
        in_tree(|| {
            // SAFETY: with the lock; the scope around this one is there.
            unsafe {
                if let Some(outer) = self.outer.as_ref() {
                    let outer = &mut *outer.inside.get();
                    (*self.inside.get()).next = std::mem::replace(&mut outer.first, self);
                }
            }
            self.opener.in_scopes.scope.set(self);
        });
        CURRENT.with(|current| current.set(self));
        Opened { scope: self, shields: SHIELDS.with(|shields| shields.replace(0)) }
    }

    /// The thread that is going to have this node is in the scope from here on.
    pub(crate) fn add(&self, node: &'static Node, index: usize) {
        in_tree(|| {
            node.in_scopes.scope.set(self);
            // SAFETY: with the lock.
            let children = unsafe { &mut (*self.inside.get()).children };
            children.push(Member { node, index, is_ending: false });
        });
    }

    /// The calling thread, which has been [`add`](Self::add)ed, has begun, and is in the scope until what this returns
    /// is dropped.
    ///
    /// # Safety
    /// The scope is there for as long as that.
    pub(crate) unsafe fn join(&self, index: usize) -> Begun<'_> {
        CURRENT.with(|current| current.set(self));
        Begun { scope: self, index }
    }

    /// A thread of the scope is not there any more.
    pub(crate) fn remove(&self, index: usize) {
        in_tree(|| {
            // SAFETY: with the lock.
            let children = unsafe { &mut (*self.inside.get()).children };
            if let Some(at) = children.iter().position(|child| child.index == index) {
                let child = children.swap_remove(at);
                child.node.in_scopes.scope.set(ptr::null());
            }
            self.wake_joiners(index, children.is_empty());
        });
    }

    /// Cancels it and all inside of it, for good.
    pub(crate) fn cancel(&self) {
        in_tree(|| {
            // Ordering: Release pairs with the Acquire of `is_cancelled`.
            self.is_cancelled.store(true, Release);
            // Ordering: between the flag and the looks at waits; pairs with the fence of a thread that waits, which
            // then looks at the flag.
            fence(SeqCst);
            // SAFETY: with the lock.
            unsafe { self.cancel_waits() };
        });
    }

    /// Ends the waits of all threads in it that can be cancelled.
    ///
    /// # Safety
    /// The caller has the lock of all scopes.
    unsafe fn cancel_waits(&self) {
        cancel_wait(self.opener);
        // SAFETY: by contract; a scope that is inside is there.
        unsafe {
            (*self.inside.get()).children.iter().for_each(|child| cancel_wait(child.node));
            let unshielded = self.scopes_inside().filter(|scope| !scope.is_shielded);
            unshielded.for_each(|scope| scope.cancel_waits());
        }
    }

    /// The scopes that lie directly inside of it.
    ///
    /// # Safety
    /// The caller has the lock of all scopes for as long as it uses what this returns.
    unsafe fn scopes_inside(&self) -> impl Iterator<Item = &Self> {
        // SAFETY: by contract.
        unsafe {
            let next = |scope: &Self| (*scope.inside.get()).next.as_ref();
            std::iter::successors((*self.inside.get()).first.as_ref(), move |scope| next(scope))
        }
    }

    /// Whether this or one around it has been cancelled, up to the first that was opened in a shield.
    pub(crate) fn is_cancelled(&self) -> bool {
        // Ordering: Acquire pairs with the Release of `cancel`.
        if self.is_cancelled.load(Acquire) {
            return true;
        }
        // SAFETY: it outlives this one.
        !self.is_shielded && unsafe { self.outer.as_ref() }.is_some_and(Scope::is_cancelled)
    }

    /// The outermost closed one of this and those around it.
    fn outermost_closed(&self) -> Option<&Self> {
        // SAFETY: it outlives this one.
        let outer = unsafe { self.outer.as_ref() };
        outer.and_then(Self::outermost_closed).or_else(|| self.is_closed.then_some(self))
    }
}

/// The thread that has opened a scope is in it until this is dropped.
pub(crate) struct Opened<'s> {
    scope: &'s Scope,
    /// The shields around the scope.
    shields: usize,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let outer = self.scope.outer;
        CURRENT.with(|current| current.set(outer));
        SHIELDS.with(|shields| shields.set(self.shields));
        in_tree(|| {
            self.scope.opener.in_scopes.scope.set(outer);
            // SAFETY: with the lock; the scope around this one is there, and so are those inside of that.
            unsafe {
                let Some(outer) = outer.as_ref() else { return };
                let mut link: *mut *const Scope = &raw mut (*outer.inside.get()).first;
                while !(*link).is_null() && !ptr::eq(*link, self.scope) {
                    link = &raw mut (*(**link).inside.get()).next;
                }
                if !(*link).is_null() {
                    *link = (*self.scope.inside.get()).next;
                }
            }
        });
    }
}

/// A thread that was made in a scope is in it until this is dropped.
pub(crate) struct Begun<'s> {
    scope: &'s Scope,
    index: usize,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if self.scope.outermost_closed().is_some() {
            // Once it has ended it cannot look, for the scope may be gone. So it looks as one that has.
            in_tree(|| {
                // SAFETY: with the lock.
                let children = unsafe { &mut (*self.scope.inside.get()).children };
                let me = children.iter_mut().find(|child| child.index == self.index);
                me.into_iter().for_each(|me| me.is_ending = true);
            });
            look_for_stuck();
        }
        CURRENT.with(|current| current.set(ptr::null()));
        self.scope.remove(self.index);
    }
}

/// Ends the wait of a thread, if it can be cancelled and its scope is, and that in a hook. Called with the lock of all
/// scopes.
fn cancel_wait(node: &'static Node) {
    // SAFETY: with the lock; nodes are never freed.
    unsafe { node.in_scopes.nested.get().as_ref() }.into_iter().for_each(cancel_wait);
    // SAFETY: with the lock.
    let scope = unsafe { node.in_scopes.scope.get().as_ref() };
    if !scope.is_some_and(Scope::is_cancelled) || !node.cancel() {
        return;
    }
    let lock = node.wants();
    if lock.is_null() {
        unpark_all(node.sleep_word());
    } else {
        condition::wake(lock, node);
    }
}

/// Has the child of a fork forget the threads that are not there.
///
/// A branch that the calling thread was in is as without threads. The thread must not return from it, for the standard
/// library's scope around its threads would wait for them for ever.
///
/// # Safety
/// The calling thread is the only one in the process, and does not have the lock of all scopes.
pub(crate) unsafe fn after_fork() {
    // SAFETY: by contract.
    unsafe { TREE.after_fork() };
    let (mut scope, mut first) = (CURRENT.with(Cell::get), ptr::null());
    // SAFETY: scopes that the thread is in are there.
    while let Some(at) = unsafe { scope.as_ref() } {
        // What is there may be half written, and is leaked.
        let inside = Inside { children: Vec::new(), first, next: ptr::null() };
        // SAFETY: the only thread, by contract.
        unsafe { at.inside.get().write(inside) };
        (scope, first) = (at.outer, scope);
    }
}
