use std::ffi::c_void;
use std::io::{Read, Write};

use edgeformer_core::{
    AdapterScales, CacheUsage, Error, Input, KvCache, Outputs, Result, SequenceId, Session, Span,
    Step, Want,
};

use super::backend::Plugin;
use super::call::{Failure, ask, call};
use crate::abi::{Handle, OutputsView, Reader, Slice, SpanView, Status, Writer};
use crate::lent::list;

/// A session of a plugin.
pub struct PluginSession {
    plugin: Plugin,
    handle: Handle,
    /// Reused from step to step.
    spans: Vec<SpanView>,
    /// Whether it panicked: what it holds may be anything.
    is_broken: bool,
}

// SAFETY: the functions of a session may be called by any thread, one at a time: this is not `Sync`.
unsafe impl Send for PluginSession {}

impl PluginSession {
    /// Takes a session over: it is freed with this.
    pub fn new(plugin: Plugin, handle: Handle) -> Self {
        Self { plugin, handle, spans: Vec::new(), is_broken: false }
    }

    /// Calls a function that changes the session.
    fn call(&mut self, function: impl FnOnce(Handle, Writer) -> Status) -> Result<()> {
        let name = &self.plugin.name;
        if self.is_broken {
            let problem = "this session panicked before: open a new one".into();
            return Err(Error::Backend { backend: name.to_string(), problem });
        }
        match call(name, |reply| function(self.handle, reply)) {
            Ok(_) => Ok(()),
            Err(failure) => {
                self.is_broken = matches!(failure, Failure::Panicked(_));
                Err(failure.into())
            }
        }
    }
}

impl Drop for PluginSession {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle, and nobody will use it again.
        let _nobody_to_tell = unsafe { (self.plugin.table.session_free)(self.handle) };
    }
}

impl Session for PluginSession {
    fn run(&mut self, step: &Step<'_>, outputs: &mut Outputs) -> Result<()> {
        let mut spans = std::mem::take(&mut self.spans);
        spans.clear();
        spans.extend(step.spans.iter().map(view));
        let run = self.plugin.table.session_run;
        let room = room(outputs);
        // SAFETY: the session is used by nobody else, and what is pointed to lives until the call
        // is over.
        let ran = self
            .call(|handle, reply| unsafe { run(handle, spans.as_ptr(), spans.len(), room, reply) });
        self.spans = spans;
        ran
    }

    fn cache(&mut self) -> &mut dyn KvCache {
        self
    }

    fn trim(&mut self) -> u64 {
        let mut freed = 0;
        let trim = self.plugin.table.session_trim;
        // SAFETY: the session is used by nobody else.
        match self.call(|handle, reply| unsafe { trim(handle, &mut freed, reply) }) {
            Ok(()) => freed,
            Err(_) => 0,
        }
    }
}

fn view(span: &Span<'_>) -> SpanView {
    let (input, data, len) = match span.input {
        Input::Tokens(tokens) => (0, tokens.as_ptr().cast::<c_void>(), tokens.len()),
        Input::Pixels(values) => (1, values.as_ptr().cast(), values.len()),
        Input::Signal(values) => (2, values.as_ptr().cast(), values.len()),
    };
    let want = match span.want {
        Want::Nothing => 0,
        Want::Last => 1,
        Want::All => 2,
    };
    SpanView { sequence: span.sequence.0, input, want, data, len }
}

/// Puts rows into the caller's outputs.
fn room(outputs: &mut Outputs) -> OutputsView {
    unsafe extern "C" fn take(
        state: *mut c_void,
        width: usize,
        counts: *const usize,
        spans: usize,
        rows: *const f32,
    ) {
        // SAFETY: the state is the outputs, which nobody else touches while the call lasts; the
        // plugin lends a count for every span and as many rows as these say.
        let (outputs, counts, rows) = unsafe {
            let counts: &[usize] = list(counts, spans);
            let total: usize = counts.iter().sum();
            (&mut *state.cast::<Outputs>(), counts, list(rows, total * width))
        };
        outputs.copy_from(width, counts.iter().copied(), rows);
    }
    OutputsView { state: std::ptr::from_mut(outputs).cast(), take }
}

impl KvCache for PluginSession {
    fn create(&mut self) -> Result<SequenceId> {
        let mut id = 0;
        let create = self.plugin.table.cache_create;
        // SAFETY: the session is used by nobody else.
        self.call(|handle, reply| unsafe { create(handle, &mut id, reply) })?;
        Ok(SequenceId(id))
    }

    fn len(&self, sequence: SequenceId) -> usize {
        let Plugin { table, name } = &self.plugin;
        let mut len = 0;
        if self.is_broken {
            return 0;
        }
        // SAFETY: the session is used by nobody else: this is not `Sync`.
        let asked = call(name, |reply| unsafe {
            (table.cache_len)(self.handle, sequence.0, &mut len, reply)
        });
        asked.map_or(0, |_| len)
    }

    fn truncate(&mut self, sequence: SequenceId, len: usize) -> Result<()> {
        let truncate = self.plugin.table.cache_truncate;
        // SAFETY: the session is used by nobody else.
        self.call(|handle, reply| unsafe { truncate(handle, sequence.0, len, reply) })
    }

    fn fork(&mut self, sequence: SequenceId) -> Result<SequenceId> {
        let mut id = 0;
        let fork = self.plugin.table.cache_fork;
        // SAFETY: the session is used by nobody else.
        self.call(|handle, reply| unsafe { fork(handle, sequence.0, &mut id, reply) })?;
        Ok(SequenceId(id))
    }

    fn adopt(&mut self, sequence: SequenceId, tokens: &[u32]) -> Result<usize> {
        let mut adopted = 0;
        let adopt = self.plugin.table.cache_adopt;
        // SAFETY: the session is used by nobody else, and the tokens live until the call is over.
        self.call(|handle, reply| unsafe {
            adopt(handle, sequence.0, tokens.as_ptr(), tokens.len(), &mut adopted, reply)
        })?;
        Ok(adopted)
    }

    fn set_adapters(&mut self, sequence: SequenceId, scales: &AdapterScales) -> Result<()> {
        let Some(set) = self.plugin.table.cache_set_adapters else {
            return match scales.all() {
                None => Ok(()),
                Some(_) => Err(Error::Backend {
                    backend: self.plugin.name.to_string(),
                    problem: "it was built before sequences had adapters of their own: build it against this edgeformer-plugin".into(),
                }),
            };
        };
        let (scales, count) = match scales.all() {
            Some(scales) => (scales.as_ptr(), scales.len()),
            None => (std::ptr::null(), 0),
        };
        // SAFETY: the session is used by nobody else, and the scales live until the call is over.
        self.call(|handle, reply| unsafe { set(handle, sequence.0, scales, count, reply) })
    }

    fn remove(&mut self, sequence: SequenceId) {
        let remove = self.plugin.table.cache_remove;
        // SAFETY: the session is used by nobody else.
        let _told_by_the_next_step =
            self.call(|handle, reply| unsafe { remove(handle, sequence.0, reply) });
    }

    fn export(&mut self, sequence: SequenceId, to: &mut dyn Write) -> Result<()> {
        let mut stream = To { to, failed: None };
        let export = self.plugin.table.cache_export;
        let writer = Writer { state: std::ptr::from_mut(&mut stream).cast(), write };
        // SAFETY: the session is used by nobody else, and the stream lives until the call is over.
        let done = self.call(|handle, reply| unsafe { export(handle, sequence.0, writer, reply) });
        // What the stream says is nearer to the cause than what the plugin makes of it.
        stream.failed.map_or(done, |error| Err(error.into()))
    }

    fn import(&mut self, from: &mut dyn Read) -> Result<SequenceId> {
        let mut id = 0;
        let mut stream = From { from, failed: None };
        let import = self.plugin.table.cache_import;
        let reader = Reader { state: std::ptr::from_mut(&mut stream).cast(), read };
        // SAFETY: as above.
        let done = self.call(|handle, reply| unsafe { import(handle, reader, &mut id, reply) });
        stream.failed.map_or(done, |error| Err(error.into()))?;
        Ok(SequenceId(id))
    }

    fn usage(&self) -> CacheUsage {
        let Plugin { table, name } = &self.plugin;
        if self.is_broken {
            return CacheUsage::default();
        }
        // SAFETY: the session is used by nobody else: this is not `Sync`.
        ask(name, "usage", |reply| unsafe { (table.cache_usage)(self.handle, reply) })
            .unwrap_or_default()
    }
}

/// A stream that a plugin writes to.
struct To<'a> {
    to: &'a mut dyn Write,
    failed: Option<std::io::Error>,
}

/// A stream that a plugin reads.
struct From<'a> {
    from: &'a mut dyn Read,
    failed: Option<std::io::Error>,
}

unsafe extern "C" fn write(state: *mut c_void, bytes: Slice) -> Status {
    // SAFETY: the state is a `To`, which nobody else touches while the call lasts; the plugin lends
    // the bytes for this call.
    let (stream, bytes) = unsafe { (&mut *state.cast::<To<'_>>(), bytes.bytes()) };
    let written = guarded(|| stream.to.write_all(bytes));
    written.map_or_else(|error| refused(&mut stream.failed, error), |()| Status::DONE)
}

unsafe extern "C" fn read(
    state: *mut c_void,
    into: *mut u8,
    len: usize,
    count: *mut usize,
) -> Status {
    if len == 0 {
        // SAFETY: the plugin points to a number.
        unsafe { count.write(0) };
        return Status::DONE;
    }
    // SAFETY: the state is a `From`, which nobody else touches while the call lasts; the plugin
    // lends `len` bytes for this call.
    let (stream, into) =
        unsafe { (&mut *state.cast::<From<'_>>(), std::slice::from_raw_parts_mut(into, len)) };
    match guarded(|| stream.from.read(into)) {
        Ok(read) => {
            // SAFETY: the plugin points to a number.
            unsafe { count.write(read) };
            Status::DONE
        }
        Err(error) => refused(&mut stream.failed, error),
    }
}

/// Streams are the caller's: a panic of theirs must not unwind through the plugin.
fn guarded<T>(work: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    ended.unwrap_or_else(|_| Err(std::io::Error::other("the stream panicked")))
}

fn refused(failed: &mut Option<std::io::Error>, error: std::io::Error) -> Status {
    *failed = Some(error);
    Status::REFUSED
}
