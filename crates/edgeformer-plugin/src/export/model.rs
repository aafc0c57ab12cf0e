//! A lent model as an ordinary one.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use edgeformer_core::{Backing, Error, FileStamp, Format, Model, Result, Tensor, Weight, Weights};

use super::call::parsed;
use crate::abi::{Keep, ModelView, Slice, TensorView, WeightView};
use crate::lent::list;

/// The loan of all weights: over when nobody holds it any more.
struct Loan(Keep);

// SAFETY: the host promises that any thread may call the functions with their state.
unsafe impl Send for Loan {}
// SAFETY: as above.
unsafe impl Sync for Loan {}

impl Drop for Loan {
    fn drop(&mut self) {
        // SAFETY: the host gave the function with its state, to be called once; nobody who could
        // read the bytes is left, for each of them holds this loan.
        unsafe { (self.0.release)(self.0.state) }
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loan")
    }
}

impl Backing for Loan {
    fn release(&self, bytes: &[u8]) {
        // SAFETY: the host gave the function with its state, which lives as long as the loan.
        unsafe { (self.0.give_back)(self.0.state, Slice::of(bytes)) }
    }

    fn release_all(&self) {
        // SAFETY: as above.
        unsafe { (self.0.give_back_all)(self.0.state) }
    }

    fn stamp(&self) -> Option<FileStamp> {
        None
    }
}

/// The bytes of a tensor, with the loan that they belong to.
struct Lent {
    bytes: &'static [u8],
    _loan: Arc<Loan>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

/// The model. Its loan ends with the last of its tensors, also if it cannot be read.
///
/// # Safety
/// `view` must be a model as [`abi`](crate::abi) says, lent for the call.
pub unsafe fn model(view: *const ModelView) -> Result<Model> {
    // SAFETY: the caller promises it.
    let view = unsafe { &*view };
    let loan = Arc::new(Loan(view.keep));
    // SAFETY: the caller promises it.
    let graph = unsafe { parsed("the graph", view.graph) }?;
    let mut weights = Weights::default();
    // SAFETY: the caller promises it.
    for view in unsafe { list(view.weights, view.count) } {
        // SAFETY: the caller promises it.
        let (name, weight) = unsafe { weight(view, &loan) }?;
        weights.insert(name, weight);
    }
    weights.add_backing(loan);
    weights.check(&graph)?;
    Ok(Model { graph, weights })
}

/// # Safety
/// As for [`model`].
unsafe fn weight(view: &WeightView, loan: &Arc<Loan>) -> Result<(String, Weight)> {
    // SAFETY: the caller promises it.
    let name = String::from_utf8_lossy(unsafe { view.name.bytes() }).into_owned();
    // SAFETY: the caller promises it.
    let views = unsafe { list(view.parts, view.count) };
    // SAFETY: the caller promises it.
    let parts = views.iter().map(|view| unsafe { tensor(view, loan) });
    let mut parts = parts.collect::<Result<Vec<_>>>()?;
    let part_dims = parts.first().map_or(0, |part| part.shape().len());
    let weight = match (view.dims == part_dims, parts.len()) {
        (true, 1) => Weight::whole(parts.remove(0)),
        (true, _) => Weight::concatenated(&name, parts)?,
        (false, _) => Weight::stacked(&name, parts)?,
    };
    Ok((name, weight))
}

/// # Safety
/// As for [`model`].
unsafe fn tensor(view: &TensorView, loan: &Arc<Loan>) -> Result<Tensor> {
    // SAFETY: the caller promises it.
    let name = String::from_utf8_lossy(unsafe { view.format.bytes() });
    let format: Format = name.parse()?;
    // SAFETY: the caller promises it.
    let shape = unsafe { list(view.shape, view.dims) };
    // SAFETY: the host promises that they stay until the loan ends, and they hold it.
    let bytes = unsafe { view.bytes.bytes() };
    let lent = Lent { bytes, _loan: loan.clone() };
    Tensor::new(format, shape, Bytes::from_owner(lent))
}

/// A handle that is none.
pub fn no_handle(what: &str) -> Error {
    Error::Config(format!("the host names no {what}"))
}
