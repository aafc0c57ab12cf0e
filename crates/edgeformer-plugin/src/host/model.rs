//! A model, lent to a plugin.

use std::ffi::c_void;
use std::sync::Arc;

use edgeformer_core::{Model, Result, Tensor};

use super::call::json;
use crate::abi::{Keep, ModelView, Slice, TensorView, WeightView};

/// A model as the interface has it. The plugin must be called with it, once: that ends the loan.
pub struct LentModel {
    model: Arc<Model>,
    graph: Vec<u8>,
    /// Parts of all weights, one behind the other.
    parts: Vec<TensorView>,
    weights: Vec<WeightView>,
}

impl LentModel {
    /// Lists what a model has. Its weights stay where they are.
    pub fn new(model: Arc<Model>) -> Result<Self> {
        let graph = json(&model.graph)?;
        let all = model.weights.iter().flat_map(|(_, weight)| weight.parts());
        let parts: Vec<TensorView> = all.map(part).collect();
        let mut rest = parts.as_slice();
        let mut weights = Vec::with_capacity(model.weights.len());
        for (name, weight) in model.weights.iter() {
            let (own, others) = rest.split_at(weight.parts().len());
            rest = others;
            let (dims, count) = (weight.shape().len(), own.len());
            let name = Slice::of(name.as_bytes());
            weights.push(WeightView { name, dims, parts: own.as_ptr(), count });
        }
        Ok(Self { model, graph, parts, weights })
    }

    /// Lends it to one call: a function of a plugin that takes a model.
    pub fn lend<T>(self, call: impl FnOnce(&ModelView) -> T) -> T {
        let Self { model, graph, parts, weights } = self;
        let state = Arc::into_raw(model).cast::<c_void>().cast_mut();
        let keep = Keep { state, release, give_back, give_back_all };
        let graph = Slice::of(&graph);
        let view = ModelView { graph, weights: weights.as_ptr(), count: weights.len(), keep };
        let result = call(&view);
        // What the views point to has lived until here.
        drop((weights, parts));
        result
    }
}

fn part(tensor: &Tensor) -> TensorView {
    TensorView {
        format: Slice::of(tensor.format().name().as_bytes()),
        shape: tensor.shape().as_ptr(),
        dims: tensor.shape().len(),
        bytes: Slice::of(tensor.bytes()),
    }
}

unsafe extern "C" fn release(state: *mut c_void) {
    // SAFETY: the state is the `Arc` of `lend`, and the plugin calls this once.
    drop(unsafe { Arc::from_raw(state.cast_const().cast::<Model>()) });
}

unsafe extern "C" fn give_back(state: *mut c_void, bytes: Slice) {
    // SAFETY: the state is the model of `lend`, which lives until `release`; the bytes are a part
    // of a weight, which lives as long.
    let (model, bytes) = unsafe { (&*state.cast_const().cast::<Model>(), bytes.bytes()) };
    model.weights.release(bytes);
}

unsafe extern "C" fn give_back_all(state: *mut c_void) {
    // SAFETY: as above.
    unsafe { &*state.cast_const().cast::<Model>() }.weights.release_all();
}
