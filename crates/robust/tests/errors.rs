//! Each error has a number of C's and one sentence.
#![cfg(all(unix, not(any(pysync_loom, pysync_shuttle))))]

use std::collections::HashSet;
use std::io;

use libc::*;
use pysync_robust::Error;

/// All but `Os`.
fn all() -> Vec<(Error, c_int)> {
    vec![
        (Error::TooSmall { len: 7, need: 128 }, EINVAL),
        (Error::Misaligned { by: 3 }, EINVAL),
        (Error::Overlap, EBUSY),
        (Error::Uninitialized, EINVAL),
        (Error::Initializing, EBUSY),
        (Error::AlreadyInitialized, EBUSY),
        (Error::Layout { found: 1, want: 0xffff_ffff }, EINVAL),
        (Error::Damaged, EINVAL),
        (Error::Data { found: 1, want: u64::MAX }, EINVAL),
        (Error::Namespace, EINVAL),
        (Error::Unsupported("it is too hot"), ENOTSUP),
        (Error::Busy, EBUSY),
        (Error::TimedOut, ETIMEDOUT),
        (Error::Interrupted, EINTR),
        (Error::Deadlock, EDEADLK),
        (Error::NotOwner, EPERM),
        (Error::DepthOverflow, EAGAIN),
        (Error::TooManyHeld, ENOLCK),
        (Error::Destroyed, EINVAL),
        (Error::NotRecoverable, ENOTRECOVERABLE),
    ]
}

/// On other systems than Linux the numbers are Linux's.
#[cfg(target_os = "linux")]
#[test]
fn each_has_its_number() {
    for (error, errno) in all() {
        assert_eq!(error.errno(), errno, "{error:?}");
    }
    for errno in [ENOSPC, ENOMEM, EIO] {
        assert_eq!(Error::Os(errno).errno(), errno);
    }
}

/// The sentence of `Os` is the system's.
#[test]
fn each_has_one_sentence() {
    let mut sentences = HashSet::new();
    for (error, _) in all() {
        let sentence = error.to_string();
        assert!(sentence.starts_with(|first: char| first.is_ascii_lowercase()), "{sentence}");
        assert!(
            sentence.ends_with(|last: char| last.is_alphanumeric() || last == ')'),
            "{sentence}"
        );
        assert!(!sentence.contains(". ") && !sentence.contains(['\n', ';']), "{sentence}");
        assert!(sentence.contains(' ') && sentence.len() < 160, "{sentence}");
        assert!(sentences.insert(sentence), "{error:?} has that of another");
    }
    assert_eq!(Error::Os(EIO).to_string(), io::Error::from_raw_os_error(EIO).to_string());
}

#[test]
fn what_was_found_is_said() {
    for (error, parts) in [
        (Error::TooSmall { len: 7, need: 128 }, ["7", "128"]),
        (Error::Misaligned { by: 3 }, ["3", "after"]),
        (Error::Layout { found: 0x12, want: 0xffff_ffff }, ["0x00000012", "0xffffffff"]),
        (Error::Data { found: 0x12, want: 0xabc }, ["0x12", "0xabc"]),
        (Error::Unsupported("it is too hot"), ["no robust mutex", "it is too hot"]),
    ] {
        let sentence = error.to_string();
        assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn each_becomes_an_error_of_std() {
    for (error, errno) in all() {
        let converted = io::Error::from(error);
        assert_eq!(converted.kind(), io::Error::from_raw_os_error(errno).kind(), "{error:?}");
        assert_eq!(converted.to_string(), error.to_string());
        let inner = converted.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        assert_eq!(inner, Some(&error));
    }
    let converted = io::Error::from(Error::Os(EIO));
    assert_eq!(converted.raw_os_error(), Some(EIO));
    assert!(std::error::Error::source(&Error::Busy).is_none());
}
