//! The functions of a program: its handle is a boxed `Arc<dyn Program>`.

use std::sync::Arc;

use edgeformer_core::{Program, Result};

use super::call::{self, answer, json, parsed, put};
use super::model::no_handle;
use super::session;
use crate::abi::{Handle, Slice, Status, Writer};

/// The handle of a program.
pub fn handle(program: Arc<dyn Program>) -> Handle {
    Box::into_raw(Box::new(program)).cast()
}

/// # Safety
/// The handle must be one of [`handle`] that was not freed.
unsafe fn program<'a>(handle: Handle) -> Result<&'a Arc<dyn Program>> {
    // SAFETY: the caller promises it.
    unsafe { handle.cast::<Arc<dyn Program>>().as_ref() }.ok_or_else(|| no_handle("program"))
}

pub unsafe extern "C" fn footprint(handle: Handle, session: Slice, reply: Writer) -> Status {
    answer(reply, || {
        // SAFETY: the host names a program of this plugin and lends the options.
        let (program, session) = unsafe { (program(handle)?, parsed("SessionOptions", session)?) };
        json(&program.footprint(&session))
    })
}

pub unsafe extern "C" fn with_threads(
    own: Handle,
    options: Slice,
    other: *mut Handle,
    reply: Writer,
) -> Status {
    // SAFETY: the host names a program of this plugin, lends the options, and points to a handle
    // that may be written.
    unsafe {
        put(other, reply, || {
            Ok(handle(program(own)?.with_threads(&parsed("CompileOptions", options)?)?))
        })
    }
}

pub unsafe extern "C" fn open(
    handle: Handle,
    options: Slice,
    session: *mut Handle,
    reply: Writer,
) -> Status {
    // SAFETY: the host names a program of this plugin, lends the options, and points to a handle
    // that may be written.
    unsafe {
        put(session, reply, || {
            let (program, options) = (program(handle)?, parsed("SessionOptions", options)?);
            Ok(session::handle(program.clone().open(&options)?))
        })
    }
}

pub unsafe extern "C" fn free(handle: Handle) -> Status {
    call::free(|| {
        if !handle.is_null() {
            // SAFETY: the host frees a program of this plugin, once.
            drop(unsafe { Box::from_raw(handle.cast::<Arc<dyn Program>>()) });
        }
    })
}
