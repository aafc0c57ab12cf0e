use std::sync::Arc;

use edgeformer_core::{
    CompileOptions, Error, Footprint, Graph, Model, Program, Result, Session, SessionOptions,
};

use super::backend::Plugin;
use super::call::{ask, json, make};
use super::session::PluginSession;
use crate::abi::{Handle, Slice};

/// A program of a plugin.
pub struct PluginProgram {
    plugin: Plugin,
    model: Arc<Model>,
    handle: Handle,
}

// SAFETY: the functions of a program may be called by several threads, as the interface says.
unsafe impl Send for PluginProgram {}
// SAFETY: as above.
unsafe impl Sync for PluginProgram {}

impl PluginProgram {
    /// Takes a program over: it is freed with this.
    pub fn new(plugin: Plugin, model: Arc<Model>, handle: Handle) -> Self {
        Self { plugin, model, handle }
    }
}

impl Drop for PluginProgram {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle, and nobody will use it again.
        let _nobody_to_tell = unsafe { (self.plugin.table.program_free)(self.handle) };
    }
}

impl Program for PluginProgram {
    fn graph(&self) -> &Graph {
        &self.model.graph
    }

    /// Of a plugin that cannot say: more than any machine has, so that no budget is broken.
    fn footprint(&self, options: &SessionOptions) -> Footprint {
        let Plugin { table, name } = &self.plugin;
        let asked = json(options).and_then(|options| {
            // SAFETY: the handle is a program's, and the text lives until the call is over.
            ask(name, "footprint", |reply| unsafe {
                (table.program_footprint)(self.handle, Slice::of(&options), reply)
            })
        });
        asked.unwrap_or(Footprint { weights: u64::MAX, ..Footprint::default() })
    }

    fn with_threads(&self, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        let Plugin { table, name } = &self.plugin;
        let options = json(options)?;
        // SAFETY: the handle is a program's, and what is pointed to lives until the call is over.
        let other = make(name, |other, reply| unsafe {
            (table.program_with_threads)(self.handle, Slice::of(&options), other, reply)
        })?;
        Ok(Arc::new(Self::new(self.plugin.clone(), self.model.clone(), other)))
    }

    fn open(self: Arc<Self>, options: &SessionOptions) -> Result<Box<dyn Session>> {
        if options.observe_attention {
            let problem = "attention is not observed through the interface of plugins".into();
            return Err(Error::Backend { backend: self.plugin.name.to_string(), problem });
        }
        let Plugin { table, name } = &self.plugin;
        let options = json(options)?;
        // SAFETY: as above.
        let session = make(name, |session, reply| unsafe {
            (table.program_open)(self.handle, Slice::of(&options), session, reply)
        })?;
        Ok(Box::new(PluginSession::new(self.plugin.clone(), session)))
    }
}
