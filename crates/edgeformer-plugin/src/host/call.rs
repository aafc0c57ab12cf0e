//! Statuses and replies become results.

use std::ffi::c_void;
use std::ptr::null_mut;

use edgeformer_core::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::{Handle, Slice, Status, Writer};
use crate::wire::WireError;

/// How a call failed.
pub enum Failure {
    /// With an error.
    Refused(Error),
    /// With a panic: what it was called on may be in any state.
    Panicked(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) | Failure::Panicked(error) => error,
        }
    }
}

/// Calls a function of the backend of that name, and returns its reply.
pub fn call(
    backend: &str,
    function: impl FnOnce(Writer) -> Status,
) -> std::result::Result<Vec<u8>, Failure> {
    let mut reply = Vec::new();
    let status = function(writer(&mut reply));
    let failed = |problem: String| Error::Backend { backend: backend.into(), problem };
    match status {
        Status::DONE => Ok(reply),
        Status::REFUSED => {
            Err(Failure::Refused(match serde_json::from_slice::<WireError>(&reply) {
                Ok(error) => error.into_error(backend),
                Err(_) => {
                    let said = String::from_utf8_lossy(&reply).into_owned();
                    failed(format!("refuses, with an error that cannot be read: {said:?}"))
                }
            }))
        }
        Status::PANICKED => {
            let said = String::from_utf8_lossy(&reply).into_owned();
            Err(Failure::Panicked(failed(format!("panicked: {said}"))))
        }
        Status(other) => Err(Failure::Panicked(failed(format!(
            "ended with status {other}, which means nothing"
        )))),
    }
}

/// The same where what is made is a program or a session.
pub fn make(
    backend: &str,
    function: impl FnOnce(*mut Handle, Writer) -> Status,
) -> std::result::Result<Handle, Failure> {
    let mut made = null_mut();
    call(backend, |reply| function(&mut made, reply))?;
    Ok(made)
}

/// The same where the reply is JSON.
pub fn ask<T: DeserializeOwned>(
    backend: &str,
    what: &str,
    function: impl FnOnce(Writer) -> Status,
) -> Result<T> {
    let reply = call(backend, function)?;
    serde_json::from_slice(&reply).map_err(|error| Error::Backend {
        backend: backend.into(),
        problem: format!("its {what} cannot be read: {error}"),
    })
}

/// JSON of a value of the core.
pub fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::Config(format!("no JSON: {error}")))
}

/// Takes what a function replies.
fn writer(reply: &mut Vec<u8>) -> Writer {
    unsafe extern "C" fn write(state: *mut c_void, bytes: Slice) -> Status {
        // SAFETY: the state is the reply, which nobody else touches while the call lasts; the
        // plugin lends the bytes for this call.
        let (reply, bytes) = unsafe { (&mut *state.cast::<Vec<u8>>(), bytes.bytes()) };
        reply.extend_from_slice(bytes);
        Status::DONE
    }
    Writer { state: std::ptr::from_mut(reply).cast(), write }
}
