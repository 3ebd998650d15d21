//! What keeps the bytes of a mutex where they are.

use std::ptr::NonNull;

use pyo3::ffi;
use pyo3::prelude::*;
use pysync_robust::{Memory as _, Part, Private};

/// A writable buffer of a Python object, which cannot be resized or closed until this is dropped.
pub(super) struct Buffer(Box<ffi::Py_buffer>);

// SAFETY: the view belongs to no thread, and is released by an attached one.
unsafe impl Send for Buffer {}
// SAFETY: as above; only its address and length are read.
unsafe impl Sync for Buffer {}

impl Buffer {
    pub(super) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: attached; the view is new, and has a place of its own, which the exporter may need.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &mut *view, ffi::PyBUF_WRITABLE) } != 0
        {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(Self(view))
    }

    fn bytes(&self) -> NonNull<[u8]> {
        let start = NonNull::new(self.0.buf.cast()).unwrap_or(NonNull::dangling());
        NonNull::slice_from_raw_parts(start, self.0.len as usize)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Once the interpreter is being finalized, the view stays.
        Python::try_attach(|_| {
            // SAFETY: attached, and released once.
            unsafe { ffi::PyBuffer_Release(&mut *self.0) }
        });
    }
}

/// What keeps the bytes of a mutex where they are.
pub(super) enum Memory {
    Private(Private),
    Buffer {
        buffer: Buffer,
        /// The `SharedMemory` that the buffer is of. It would complain if it went before its buffer.
        shared_memory: Option<Py<PyAny>>,
    },
    Segment(Part),
}

impl Memory {
    pub(super) fn bytes(&self) -> NonNull<[u8]> {
        match self {
            Self::Private(memory) => memory.bytes(),
            Self::Buffer { buffer, .. } => buffer.bytes(),
            Self::Segment(part) => part.bytes(),
        }
    }
}

/// Where another process finds the mutex.
pub(super) struct Origin {
    pub(super) name: String,
    pub(super) offset: usize,
}
