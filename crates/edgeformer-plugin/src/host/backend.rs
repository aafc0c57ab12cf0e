use std::path::Path;
use std::sync::Arc;

use edgeformer_core::{
    Backend, CompileOptions, Device, Footprint, Graph, Model, Program, Result, SessionOptions,
    Unsupported,
};

use super::LoadError;
use super::call::{ask, call, json, make};
use super::model::LentModel;
use super::program::PluginProgram;
use crate::abi::{BackendV1, Handle, Slice};

/// The longest name of a backend.
const LONGEST_NAME: usize = 64;

/// A backend that lives in a library.
pub struct PluginBackend {
    pub(super) plugin: Plugin,
}

/// A plugin: its functions, and what its backend is called.
#[derive(Clone)]
pub(super) struct Plugin {
    pub table: &'static BackendV1,
    pub name: Arc<str>,
}

impl PluginBackend {
    pub(super) fn new(path: &Path, table: &'static BackendV1) -> Result<Self, LoadError> {
        // SAFETY: the reply takes what is written while the call lasts.
        let name = call("plugin", |reply| unsafe { (table.name)(reply) });
        let name = name.map_err(|failure| {
            let error = edgeformer_core::Error::from(failure);
            LoadError::new(path, format!("its backend cannot be made: {error}"))
        })?;
        let name = String::from_utf8_lossy(&name).into_owned();
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_good) {
            let problem = format!(
                "its backend is called {name:?}: a name has letters, digits, '-', '_' and '.', at most {LONGEST_NAME}"
            );
            return Err(LoadError::new(path, problem));
        }
        Ok(Self { plugin: Plugin { table, name: name.into() } })
    }

    fn compiled(&self, model: Arc<Model>, options: &CompileOptions) -> Result<Handle> {
        let Plugin { table, name } = &self.plugin;
        let options = json(options)?;
        let program = LentModel::new(model)?.lend(|view| {
            // SAFETY: all that is pointed to lives until the call is over, and the weights until
            // the plugin releases them.
            make(name, |program, reply| unsafe {
                (table.compile)(view, Slice::of(&options), program, reply)
            })
        })?;
        Ok(program)
    }
}

impl Backend for PluginBackend {
    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn devices(&self) -> Result<Vec<Device>> {
        let Plugin { table, name } = &self.plugin;
        // SAFETY: the reply takes what is written while the call lasts.
        ask(name, "devices", |reply| unsafe { (table.devices)(reply) })
    }

    fn check(&self, graph: &Graph, device: &Device) -> Result<(), Unsupported> {
        let Plugin { table, name } = &self.plugin;
        let reasons = || -> Result<Vec<String>> {
            let (graph, device) = (json(graph)?, json(device)?);
            // SAFETY: both texts live until the call is over.
            ask(name, "reasons", |reply| unsafe {
                (table.check)(Slice::of(&graph), Slice::of(&device), reply)
            })
        };
        match reasons() {
            Ok(reasons) if reasons.is_empty() => Ok(()),
            Ok(reasons) => Err(Unsupported { reasons }),
            Err(error) => Err(Unsupported { reasons: vec![error.to_string()] }),
        }
    }

    fn plan(
        &self,
        model: &Model,
        compile: &CompileOptions,
        session: &SessionOptions,
    ) -> Result<Footprint> {
        let Plugin { table, name } = &self.plugin;
        let (compile, session) = (json(compile)?, json(session)?);
        LentModel::new(Arc::new(model.clone()))?.lend(|view| {
            // SAFETY: all that is pointed to lives until the call is over, and the weights until
            // the plugin releases them.
            ask(name, "footprint", |reply| unsafe {
                (table.plan)(view, Slice::of(&compile), Slice::of(&session), reply)
            })
        })
    }

    fn explain(&self, model: &Model, session: &SessionOptions) -> Result<Vec<String>> {
        let Plugin { table, name } = &self.plugin;
        let session = json(session)?;
        LentModel::new(Arc::new(model.clone()))?.lend(|view| {
            // SAFETY: as above.
            ask(name, "explanation", |reply| unsafe {
                (table.explain)(view, Slice::of(&session), reply)
            })
        })
    }

    fn compile(&self, model: Arc<Model>, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        let handle = self.compiled(model.clone(), options)?;
        Ok(Arc::new(PluginProgram::new(self.plugin.clone(), model, handle)))
    }
}
