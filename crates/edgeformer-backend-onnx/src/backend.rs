use std::sync::Arc;

use edgeformer_core::{
    Backend, CompileOptions, Device, Footprint, Graph, Model, Program, Result, SessionOptions,
    Unsupported,
};

use crate::OnnxOptions;
use crate::error::Problem;
use crate::program::{self, OnnxProgram};
use crate::runtime::{Choice, Library, PROVIDERS, Place, Provider, RuntimeLibrary, look};

/// The name that `--backend` takes.
const NAME: &str = "onnx";

/// Runs graphs with ONNX Runtime.
#[derive(Debug, Clone, Default)]
pub struct OnnxBackend {
    options: OnnxOptions,
}

impl OnnxBackend {
    /// The backend with these options. The library is looked for when it is needed.
    pub fn new(options: OnnxOptions) -> Self {
        Self { options }
    }

    /// The library that it would run, looked at without starting anything of it: of any version.
    ///
    /// # Errors
    /// If there is none, or what there is is not ONNX Runtime.
    pub fn runtime(&self) -> Result<RuntimeLibrary> {
        let place = Place::find(self.options.library.as_deref());
        let looked = place.and_then(|place| look(&place.path));
        looked.map_err(|problem| problem.of(self.label()))
    }

    fn plain_operators(&self, device: &str) -> bool {
        self.options.plain_operators || Provider::needs_plain_operators(device)
    }

    fn label(&self) -> &'static str {
        self.options.name.unwrap_or(NAME)
    }

    fn library(&self) -> Result<Library, Problem> {
        Library::load(&Place::find(self.options.library.as_deref())?)
    }

    /// The providers that devices stand for.
    fn providers(&self, library: &Library) -> Result<Vec<&'static Provider>, Problem> {
        match &self.options.provider {
            Some(provider) => Ok(vec![Provider::named(&provider.name, library)?]),
            None => Ok(Provider::of(library)),
        }
    }

    fn choice(&self, device: &str, library: &Library) -> Result<Choice, Problem> {
        let options = match &self.options.provider {
            Some(provider) if provider.name != device => {
                return Err(Problem::NoProvider {
                    path: library.path.clone(),
                    provider: device.into(),
                    known: provider.name.clone(),
                });
            }
            Some(provider) => provider.options.clone(),
            None => Vec::new(),
        };
        let provider = Provider::named(device, library)?;
        Ok(Choice { provider, options, plain_operators: self.plain_operators(device) })
    }

    fn found(&self) -> Result<Vec<Device>, Problem> {
        let library = self.library()?;
        let device = |provider: &Provider| Device {
            id: provider.name.into(),
            description: provider.description.into(),
            facts: vec![
                ("ONNX Runtime".into(), library.version.clone()),
                ("library".into(), library.path.display().to_string()),
            ],
            score: provider.score,
        };
        Ok(self.providers(&library)?.into_iter().map(device).collect())
    }
}

impl Backend for OnnxBackend {
    fn name(&self) -> &str {
        self.label()
    }

    fn devices(&self) -> Result<Vec<Device>> {
        self.found().map_err(|problem| problem.of(self.label()))
    }

    fn check(&self, graph: &Graph, device: &Device) -> Result<(), Unsupported> {
        let mut reasons = Vec::new();
        if !PROVIDERS.iter().any(|provider| provider.name == device.id) {
            let known: Vec<_> = PROVIDERS.iter().map(|provider| provider.name).collect();
            reasons.push(format!(
                "there is no device {:?}, known are {}",
                device.id,
                known.join(", ")
            ));
        }
        if let Err(error) = graph.check() {
            reasons.push(error.to_string());
        }
        if reasons.is_empty() { Ok(()) } else { Err(Unsupported { reasons }) }
    }

    fn plan(
        &self,
        model: &Model,
        compile: &CompileOptions,
        session: &SessionOptions,
    ) -> Result<Footprint> {
        program::check_session(self.label(), &model.graph, session)?;
        program::plan(model, compile, session, self.plain_operators(&compile.device))
    }

    fn explain(&self, model: &Model, session: &SessionOptions) -> Result<Vec<String>> {
        model.graph.check()?;
        Ok(program::explain(model, session))
    }

    fn compile(&self, model: Arc<Model>, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        let library = self.library().map_err(|problem| problem.of(self.label()))?;
        let choice =
            self.choice(&options.device, &library).map_err(|problem| problem.of(self.label()))?;
        let program = OnnxProgram::new(self.label(), model, library, choice, options)?;
        Ok(Arc::new(program))
    }
}
