//! A list of tasks that are ready, first in, first out.

use std::ptr::{self, NonNull};

use super::task::Task;

/// Owns the tasks on it. It is linked through the tasks, so that nothing is allocated.
pub(crate) struct ReadyList {
    first: *mut Task,
    /// Meaningless if the list is empty.
    last: *mut Task,
    len: usize,
}

// SAFETY: a task that is ready may be executed by any thread.
unsafe impl Send for ReadyList {}

impl ReadyList {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { first: ptr::null_mut(), last: ptr::null_mut(), len: 0 }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// # Safety
    /// The caller owns the task, and hands it over.
    #[inline]
    pub(crate) unsafe fn push(&mut self, task: NonNull<Task>) {
        // SAFETY: the list owns this task, and those on it.
        unsafe {
            Task::set_next(task, ptr::null_mut());
            match NonNull::new(self.last).filter(|_| !self.is_empty()) {
                None => self.first = task.as_ptr(),
                Some(last) => Task::set_next(last, task.as_ptr()),
            }
        }
        self.last = task.as_ptr();
        self.len += 1;
    }

    /// Hands over the first one.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<NonNull<Task>> {
        let first = NonNull::new(self.first)?;
        // SAFETY: the list owns it.
        self.first = unsafe { Task::next(first) };
        self.len -= 1;
        Some(first)
    }

    /// Appends all of another one.
    #[inline]
    pub(crate) fn append(&mut self, other: &mut ReadyList) {
        let taken = std::mem::replace(other, Self::new());
        match NonNull::new(self.last).filter(|_| !self.is_empty()) {
            None => *self = taken,
            Some(_) if taken.is_empty() => {}
            Some(last) => {
                // SAFETY: the list owns it.
                unsafe { Task::set_next(last, taken.first) };
                self.last = taken.last;
                self.len += taken.len;
            }
        }
    }

    /// Takes the first `n`, or all.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> ReadyList {
        let mut taken = Self::new();
        while taken.len < n {
            let Some(task) = self.pop() else { break };
            // SAFETY: just handed over.
            unsafe { taken.push(task) };
        }
        taken
    }
}
