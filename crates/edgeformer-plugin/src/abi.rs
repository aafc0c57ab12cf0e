//! The C interface, version 1.
//!
//! **Memory.** A [`Slice`] is lent for the call it is passed in. What a function answers it writes
//! into the [`Writer`] that it got. A [`Handle`] belongs to the plugin from the call that made it
//! until the one that frees it. The bytes of weights stay where they are until the plugin calls
//! [`Keep::release`].
//!
//! **Threads.** Functions of the backend and of a program may be called by several threads at the
//! same time. Functions of a session are called by one at a time, not always the same one.
//!
//! **Errors.** Every function returns a [`Status`]. [`REFUSED`](Status::REFUSED) comes with an
//! error as JSON in the reply, [`PANICKED`](Status::PANICKED) with a message. Outputs behind
//! pointers are written on [`DONE`](Status::DONE) alone. No function unwinds.
//!
//! **Versions.** The first two fields of the table stay what they are for ever. A later version 1
//! may have more functions at the end: `struct_size` says how many there are.

use std::ffi::c_void;

/// The version of this interface.
pub const ABI_VERSION: u32 = 1;

/// The symbol that a plugin exports: a [`BackendV1`].
pub const SYMBOL: &str = "edgeformer_backend_v1";

/// How a call ended.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// As it should.
    pub const DONE: Self = Self(0);
    /// With an error, which is in the reply.
    pub const REFUSED: Self = Self(1);
    /// With a panic, whose message is in the reply. A session is of no use after that.
    pub const PANICKED: Self = Self(2);
}

/// Borrowed bytes. Text is UTF-8 without an end mark.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Where they begin. Anything if there are none.
    pub data: *const u8,
    /// How many.
    pub len: usize,
}

impl Slice {
    /// Lends bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// They must be readable, and stay as they are, for `'a`.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the caller promises it.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// Takes bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// Handed to the function.
    pub state: *mut c_void,
    /// Takes some more; anything but [`Status::DONE`] means that no more is taken.
    pub write: unsafe extern "C" fn(state: *mut c_void, bytes: Slice) -> Status,
}

/// Gives bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Handed to the function.
    pub state: *mut c_void,
    /// Fills at most `len` bytes at `into`, and says how many: none at the end.
    pub read: unsafe extern "C" fn(
        state: *mut c_void,
        into: *mut u8,
        len: usize,
        read: *mut usize,
    ) -> Status,
}

/// A program or a session of the plugin.
pub type Handle = *mut c_void;

/// A tensor as the model's file holds it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TensorView {
    /// The name of its format: GGUF's, in lower case.
    pub format: Slice,
    /// Its dimensions, outermost first.
    pub shape: *const usize,
    /// How many dimensions.
    pub dims: usize,
    /// Its bytes: lent until [`Keep::release`].
    pub bytes: Slice,
}

/// A weight: one tensor, or several that follow each other along the first dimension.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WeightView {
    /// The name that the graph uses.
    pub name: Slice,
    /// Its dimensions over all parts: one more than those of a part if parts are stacked.
    pub dims: usize,
    /// Its parts.
    pub parts: *const TensorView,
    /// How many parts.
    pub count: usize,
}

/// Who lends the bytes of weights.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Handed to the functions, which any thread may call.
    pub state: *mut c_void,
    /// Ends the loan: called once, when no byte will be read any more, in whatever way the call
    /// that got the model ended.
    pub release: unsafe extern "C" fn(state: *mut c_void),
    /// Says that bytes of a weight will not be read soon: their memory may be used otherwise. They
    /// stay readable.
    pub give_back: unsafe extern "C" fn(state: *mut c_void, bytes: Slice),
    /// The same of all weights.
    pub give_back_all: unsafe extern "C" fn(state: *mut c_void),
}

/// A model.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ModelView {
    /// The graph as JSON.
    pub graph: Slice,
    /// The weights.
    pub weights: *const WeightView,
    /// How many weights.
    pub count: usize,
    /// Who lends their bytes.
    pub keep: Keep,
}

/// The part of a step that belongs to one sequence.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SpanView {
    /// The sequence.
    pub sequence: u64,
    /// What goes in: 0 tokens (u32), 1 pixels (f32), 2 a signal (f32).
    pub input: u32,
    /// Which rows come back: 0 none, 1 the last, 2 all.
    pub want: u32,
    /// The input.
    pub data: *const c_void,
    /// How many tokens or values.
    pub len: usize,
}

/// Where the rows of a step go.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct OutputsView {
    /// Handed to the function.
    pub state: *mut c_void,
    /// Takes `counts[i]` rows of span `i`, each `width` wide, all one behind the other from `rows`
    /// on. Called once, before the step is done.
    pub take: unsafe extern "C" fn(
        state: *mut c_void,
        width: usize,
        counts: *const usize,
        spans: usize,
        rows: *const f32,
    ),
}

/// A function that answers with nothing but its reply.
pub type Ask = unsafe extern "C" fn(reply: Writer) -> Status;

/// The table. JSON is what serde makes of the types of `edgeformer-core` that are named.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct BackendV1 {
    /// [`ABI_VERSION`].
    pub abi_version: u32,
    /// Bytes of this table.
    pub struct_size: usize,
    /// The backend's name, as text.
    pub name: Ask,
    /// Its devices: JSON of a list of `Device`, each with its score.
    pub devices: Ask,
    /// Why it cannot run a graph (JSON of `Graph`) on a device (JSON of `Device`): JSON of a list of
    /// sentences, an empty one if it can.
    pub check: unsafe extern "C" fn(graph: Slice, device: Slice, reply: Writer) -> Status,
    /// What a session would take: JSON of `Footprint`, from JSON of `CompileOptions` and
    /// `SessionOptions`.
    pub plan: unsafe extern "C" fn(
        model: *const ModelView,
        compile: Slice,
        session: Slice,
        reply: Writer,
    ) -> Status,
    /// What was chosen for a session (JSON of `SessionOptions`): JSON of a list of lines.
    pub explain:
        unsafe extern "C" fn(model: *const ModelView, session: Slice, reply: Writer) -> Status,
    /// Makes a program, from JSON of `CompileOptions`.
    pub compile: unsafe extern "C" fn(
        model: *const ModelView,
        options: Slice,
        program: *mut Handle,
        reply: Writer,
    ) -> Status,
    /// JSON of `Footprint` of a session (JSON of `SessionOptions`).
    pub program_footprint:
        unsafe extern "C" fn(program: Handle, session: Slice, reply: Writer) -> Status,
    /// The same program with other threads, from JSON of `CompileOptions`.
    pub program_with_threads: unsafe extern "C" fn(
        program: Handle,
        options: Slice,
        other: *mut Handle,
        reply: Writer,
    ) -> Status,
    /// Opens a session, from JSON of `SessionOptions`. It may outlive the program's handle.
    pub program_open: unsafe extern "C" fn(
        program: Handle,
        options: Slice,
        session: *mut Handle,
        reply: Writer,
    ) -> Status,
    /// Frees a program's handle.
    pub program_free: unsafe extern "C" fn(program: Handle) -> Status,
    /// Runs a step.
    pub session_run: unsafe extern "C" fn(
        session: Handle,
        spans: *const SpanView,
        count: usize,
        outputs: OutputsView,
        reply: Writer,
    ) -> Status,
    /// Gives unused memory back to the system, and says how many bytes.
    pub session_trim:
        unsafe extern "C" fn(session: Handle, freed: *mut u64, reply: Writer) -> Status,
    /// Frees a session.
    pub session_free: unsafe extern "C" fn(session: Handle) -> Status,
    /// Starts an empty sequence.
    pub cache_create:
        unsafe extern "C" fn(session: Handle, sequence: *mut u64, reply: Writer) -> Status,
    /// Tokens of a sequence.
    pub cache_len: unsafe extern "C" fn(
        session: Handle,
        sequence: u64,
        len: *mut usize,
        reply: Writer,
    ) -> Status,
    /// Forgets every token of a sequence from a position on.
    pub cache_truncate:
        unsafe extern "C" fn(session: Handle, sequence: u64, len: usize, reply: Writer) -> Status,
    /// A second sequence with the same past.
    pub cache_fork: unsafe extern "C" fn(
        session: Handle,
        sequence: u64,
        fork: *mut u64,
        reply: Writer,
    ) -> Status,
    /// Gives an empty sequence the longest beginning of some tokens that the cache still holds.
    pub cache_adopt: unsafe extern "C" fn(
        session: Handle,
        sequence: u64,
        tokens: *const u32,
        count: usize,
        adopted: *mut usize,
        reply: Writer,
    ) -> Status,
    /// Drops a sequence.
    pub cache_remove: unsafe extern "C" fn(session: Handle, sequence: u64, reply: Writer) -> Status,
    /// Writes a sequence.
    pub cache_export:
        unsafe extern "C" fn(session: Handle, sequence: u64, to: Writer, reply: Writer) -> Status,
    /// Reads a sequence back.
    pub cache_import: unsafe extern "C" fn(
        session: Handle,
        from: Reader,
        sequence: *mut u64,
        reply: Writer,
    ) -> Status,
    /// What the cache holds: JSON of `CacheUsage`.
    pub cache_usage: unsafe extern "C" fn(session: Handle, reply: Writer) -> Status,
    /// Says how strongly each adapter of the graph acts on what a sequence is fed from now on; null
    /// scales are the usual ones. In tables that are longer than those without it.
    pub cache_set_adapters: Option<
        unsafe extern "C" fn(
            session: Handle,
            sequence: u64,
            scales: *const f32,
            count: usize,
            reply: Writer,
        ) -> Status,
    >,
}
