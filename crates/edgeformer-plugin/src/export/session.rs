//! The functions of a session: its handle is a boxed [`Opened`].

use std::ffi::c_void;

use edgeformer_core::{Error, Input, Outputs, Result, SequenceId, Session, Span, Step, Want};

use super::call::{self, done, put};
use super::model::no_handle;
use crate::abi::{Handle, OutputsView, SpanView, Status, Writer};
use crate::lent::list;

/// A session with what is reused from step to step.
pub struct Opened {
    pub session: Box<dyn Session>,
    outputs: Outputs,
    counts: Vec<usize>,
}

/// The handle of a session.
pub fn handle(session: Box<dyn Session>) -> Handle {
    let opened = Opened { session, outputs: Outputs::default(), counts: Vec::new() };
    Box::into_raw(Box::new(opened)).cast()
}

/// # Safety
/// The handle must be one of [`handle`] that was not freed, and nobody else may use it.
pub unsafe fn opened<'a>(handle: Handle) -> Result<&'a mut Opened> {
    // SAFETY: the caller promises it.
    unsafe { handle.cast::<Opened>().as_mut() }.ok_or_else(|| no_handle("session"))
}

pub unsafe extern "C" fn run(
    handle: Handle,
    spans: *const SpanView,
    count: usize,
    outputs: OutputsView,
    reply: Writer,
) -> Status {
    done(reply, || {
        // SAFETY: the host names a session of this plugin, for itself, and lends the spans.
        let (opened, views) = unsafe { (opened(handle)?, list(spans, count)) };
        match views {
            // Nearly every step: without a list of its own.
            [view] => {
                // SAFETY: the host lends the input of the span.
                let span = unsafe { span(view) }?;
                opened.session.run(&Step { spans: &[span] }, &mut opened.outputs)?;
            }
            views => {
                // SAFETY: the host lends the inputs of the spans.
                let spans = views.iter().map(|view| unsafe { span(view) });
                let spans: Vec<Span<'_>> = spans.collect::<Result<_>>()?;
                opened.session.run(&Step { spans: &spans }, &mut opened.outputs)?;
            }
        }
        opened.hand_over(views.len(), outputs);
        Ok(())
    })
}

impl Opened {
    /// Shows the host the rows, for it to copy.
    fn hand_over(&mut self, spans: usize, to: OutputsView) {
        self.counts.clear();
        self.counts.extend((0..spans).map(|span| self.outputs.span(span).len()));
        let (width, counts) = (self.outputs.width(), self.counts.as_ptr());
        let rows = self.outputs.rows().data().as_ptr();
        // SAFETY: the host gave the function with its state, for this call; `counts` has a count for
        // every span, and there are as many rows as were counted.
        unsafe { (to.take)(to.state, width, counts, spans, rows) };
    }
}

/// # Safety
/// The input must be as many tokens or values as the view says, lent for `'a`.
unsafe fn span<'a>(view: &SpanView) -> Result<Span<'a>> {
    let unknown = |what: &str, number: u32| {
        Error::Step(format!("the host asks for {what} {number}, which this plugin does not know"))
    };
    let input = match view.input {
        // SAFETY: the caller promises it.
        0 => Input::Tokens(unsafe { list(view.data.cast(), view.len) }),
        // SAFETY: the caller promises it.
        1 => Input::Pixels(unsafe { list(view.data.cast(), view.len) }),
        // SAFETY: the caller promises it.
        2 => Input::Signal(unsafe { list(view.data.cast(), view.len) }),
        other => return Err(unknown("input", other)),
    };
    let want = match view.want {
        0 => Want::Nothing,
        1 => Want::Last,
        2 => Want::All,
        other => return Err(unknown("rows", other)),
    };
    Ok(Span { sequence: SequenceId(view.sequence), input, want })
}

pub unsafe extern "C" fn trim(handle: Handle, freed: *mut u64, reply: Writer) -> Status {
    // SAFETY: the host names a session of this plugin, for itself, and points to a number.
    unsafe { put(freed, reply, || Ok(opened(handle)?.session.trim())) }
}

pub unsafe extern "C" fn free(handle: *mut c_void) -> Status {
    call::free(|| {
        if !handle.is_null() {
            // SAFETY: the host frees a session of this plugin, once.
            drop(unsafe { Box::from_raw(handle.cast::<Opened>()) });
        }
    })
}
