//! The functions of a session's cache.

use std::io::{self, Read, Write};

use edgeformer_core::{AdapterScales, KvCache, Result, SequenceId};

use super::call::{answer, done, json, put};
use super::session::opened;
use crate::abi::{Handle, Reader, Slice, Status, Writer};
use crate::lent::list;

/// # Safety
/// As for [`opened`].
unsafe fn cache<'a>(session: Handle) -> Result<&'a mut dyn KvCache> {
    // SAFETY: the caller promises it.
    Ok(unsafe { opened(session) }?.session.cache())
}

pub unsafe extern "C" fn create(session: Handle, sequence: *mut u64, reply: Writer) -> Status {
    // SAFETY: the host names a session of this plugin, for itself, and points to a number.
    unsafe { put(sequence, reply, || Ok(cache(session)?.create()?.0)) }
}

pub unsafe extern "C" fn len(
    session: Handle,
    sequence: u64,
    len: *mut usize,
    reply: Writer,
) -> Status {
    // SAFETY: the host names a session of this plugin, for itself, and points to a number.
    unsafe { put(len, reply, || Ok(cache(session)?.len(SequenceId(sequence)))) }
}

pub unsafe extern "C" fn truncate(
    session: Handle,
    sequence: u64,
    len: usize,
    reply: Writer,
) -> Status {
    // SAFETY: the host names a session of this plugin, for itself.
    done(reply, || unsafe { cache(session)?.truncate(SequenceId(sequence), len) })
}

pub unsafe extern "C" fn fork(
    session: Handle,
    sequence: u64,
    fork: *mut u64,
    reply: Writer,
) -> Status {
    // SAFETY: the host names a session of this plugin, for itself, and points to a number.
    unsafe { put(fork, reply, || Ok(cache(session)?.fork(SequenceId(sequence))?.0)) }
}

pub unsafe extern "C" fn adopt(
    session: Handle,
    sequence: u64,
    tokens: *const u32,
    count: usize,
    adopted: *mut usize,
    reply: Writer,
) -> Status {
    // SAFETY: the host names a session of this plugin, for itself, lends the tokens, and points to
    // a number.
    unsafe {
        put(adopted, reply, || cache(session)?.adopt(SequenceId(sequence), list(tokens, count)))
    }
}

pub unsafe extern "C" fn set_adapters(
    session: Handle,
    sequence: u64,
    scales: *const f32,
    count: usize,
    reply: Writer,
) -> Status {
    // SAFETY: the host names a session of this plugin, for itself, and lends the scales.
    done(reply, || unsafe {
        let scales = match scales.is_null() {
            true => AdapterScales::USUAL,
            false => AdapterScales::new(list(scales, count))?,
        };
        cache(session)?.set_adapters(SequenceId(sequence), &scales)
    })
}

pub unsafe extern "C" fn remove(session: Handle, sequence: u64, reply: Writer) -> Status {
    done(reply, || {
        // SAFETY: the host names a session of this plugin, for itself.
        unsafe { cache(session)?.remove(SequenceId(sequence)) };
        Ok(())
    })
}

pub unsafe extern "C" fn export(
    session: Handle,
    sequence: u64,
    to: Writer,
    reply: Writer,
) -> Status {
    // SAFETY: the host names a session of this plugin, for itself.
    done(reply, || unsafe { cache(session)?.export(SequenceId(sequence), &mut To(to)) })
}

pub unsafe extern "C" fn import(
    session: Handle,
    from: Reader,
    sequence: *mut u64,
    reply: Writer,
) -> Status {
    // SAFETY: the host names a session of this plugin, for itself, and points to a number.
    unsafe { put(sequence, reply, || Ok(cache(session)?.import(&mut From(from))?.0)) }
}

pub unsafe extern "C" fn usage(session: Handle, reply: Writer) -> Status {
    // SAFETY: the host names a session of this plugin, for itself.
    answer(reply, || json(&unsafe { cache(session)? }.usage()))
}

/// The host's stream, to write.
struct To(Writer);

impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the host gave the function with its state, for the call that this lives in.
        match unsafe { (self.0.write)(self.0.state, Slice::of(bytes)) } {
            Status::DONE => Ok(bytes.len()),
            _ => Err(io::Error::other("the host takes no more")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The host's stream, to read.
struct From(Reader);

impl Read for From {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        // SAFETY: the host gave the function with its state, for the call that this lives in.
        let status =
            unsafe { (self.0.read)(self.0.state, into.as_mut_ptr(), into.len(), &mut read) };
        match status {
            Status::DONE => Ok(read.min(into.len())),
            _ => Err(io::Error::other("the host gives no more")),
        }
    }
}
