//! The functions of the backend itself.

use std::sync::Arc;

use edgeformer_core::{Backend, Error, Result};

use super::Provider;
use super::call::{answer, json, parsed, put};
use super::model::model;
use super::program;
use crate::abi::{Handle, ModelView, Slice, Status, Writer};

fn backend<P: Provider>() -> Result<&'static dyn Backend> {
    P::backend()
        .map_err(|problem| Error::Backend { backend: "plugin".into(), problem: problem.into() })
}

pub unsafe extern "C" fn name<P: Provider>(reply: Writer) -> Status {
    answer(reply, || Ok(backend::<P>()?.name().as_bytes().to_vec()))
}

pub unsafe extern "C" fn devices<P: Provider>(reply: Writer) -> Status {
    answer(reply, || json(&backend::<P>()?.devices()?))
}

pub unsafe extern "C" fn check<P: Provider>(graph: Slice, device: Slice, reply: Writer) -> Status {
    answer(reply, || {
        // SAFETY: the host lends both for the call.
        let (graph, device) =
            unsafe { (parsed("the graph", graph)?, parsed("the device", device)?) };
        let reasons = match backend::<P>()?.check(&graph, &device) {
            Ok(()) => Vec::new(),
            Err(unsupported) if unsupported.reasons.is_empty() => {
                vec!["it says no and not why".to_owned()]
            }
            Err(unsupported) => unsupported.reasons,
        };
        json(&reasons)
    })
}

pub unsafe extern "C" fn plan<P: Provider>(
    view: *const ModelView,
    compile: Slice,
    session: Slice,
    reply: Writer,
) -> Status {
    answer(reply, || {
        // SAFETY: the host lends all of them for the call.
        let (model, compile, session) = unsafe {
            (model(view)?, parsed("CompileOptions", compile)?, parsed("SessionOptions", session)?)
        };
        json(&backend::<P>()?.plan(&model, &compile, &session)?)
    })
}

pub unsafe extern "C" fn explain<P: Provider>(
    view: *const ModelView,
    session: Slice,
    reply: Writer,
) -> Status {
    answer(reply, || {
        // SAFETY: the host lends both for the call.
        let (model, session) = unsafe { (model(view)?, parsed("SessionOptions", session)?) };
        json(&backend::<P>()?.explain(&model, &session)?)
    })
}

pub unsafe extern "C" fn compile<P: Provider>(
    view: *const ModelView,
    options: Slice,
    handle: *mut Handle,
    reply: Writer,
) -> Status {
    // SAFETY: the host lends both for the call, and points to a handle that may be written.
    unsafe {
        put(handle, reply, || {
            let (model, options) = (model(view)?, parsed("CompileOptions", options)?);
            Ok(program::handle(backend::<P>()?.compile(Arc::new(model), &options)?))
        })
    }
}
