//! Panics and errors become statuses and replies.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use edgeformer_core::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::{Slice, Status, Writer};
use crate::wire::WireError;

/// Runs `work` and answers with what it returns: nothing unwinds out of here.
pub fn answer(reply: Writer, work: impl FnOnce() -> Result<Vec<u8>>) -> Status {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(bytes)) => send(reply, &bytes, Status::DONE),
        Ok(Err(error)) => {
            let json = serde_json::to_vec(&WireError::from(error)).unwrap_or_default();
            send(reply, &json, Status::REFUSED)
        }
        Err(panic) => send(reply, message(&*panic).as_bytes(), Status::PANICKED),
    }
}

/// The same where the answer is not in the reply.
pub fn done(reply: Writer, work: impl FnOnce() -> Result<()>) -> Status {
    answer(reply, || work().map(|()| Vec::new()))
}

/// The same where the answer goes behind a pointer.
///
/// # Safety
/// `into` must point to where a `T` may be written.
pub unsafe fn put<T>(into: *mut T, reply: Writer, work: impl FnOnce() -> Result<T>) -> Status {
    done(reply, || {
        let value = work()?;
        // SAFETY: the caller promises it.
        unsafe { into.write(value) };
        Ok(())
    })
}

/// Frees something: nobody is there to be told of a panic.
pub fn free(work: impl FnOnce()) -> Status {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => Status::DONE,
        Err(_) => Status::PANICKED,
    }
}

fn send(reply: Writer, bytes: &[u8], status: Status) -> Status {
    if bytes.is_empty() {
        return status;
    }
    // SAFETY: the host gave the function with its state, for this call.
    let taken = unsafe { (reply.write)(reply.state, Slice::of(bytes)) };
    if taken == Status::DONE { status } else { taken }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// JSON of a value.
pub fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::Config(format!("no JSON: {error}")))
}

/// A value from JSON that the host lent.
///
/// # Safety
/// As for [`Slice::bytes`], for the call.
pub unsafe fn parsed<T: DeserializeOwned>(what: &str, json: Slice) -> Result<T> {
    // SAFETY: the caller promises it.
    let bytes = unsafe { json.bytes() };
    serde_json::from_slice(bytes).map_err(|error| {
        Error::Config(format!("{what} of the host is not what this plugin reads: {error}"))
    })
}
