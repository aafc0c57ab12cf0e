use std::io::Write;
use std::sync::Arc;

use edgeformer_core::{
    Backend, CompileOptions, Device, Error, Footprint, Graph, Model, PackedSummary, PackedUse,
    Program, Result, SessionOptions, Unsupported,
};

use crate::kernels::{Isa, Kernels};
use crate::machine;
use crate::pool::physical_cores;
use crate::program::{self, CpuProgram, Threads};

/// The name that `--backend` takes.
const NAME: &str = "cpu";
/// More threads than any machine has cores.
const MAX_THREADS: usize = 1024;
/// The one device of this backend.
const DEVICE: &str = "cpu";

/// How the CPU backend is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuOptions {
    /// The instruction set to use, by name: `avx2`, `neon`, `scalar` and others; an unknown
    /// one is answered with all names. `None` takes the best that the machine has.
    pub isa: Option<String>,
}

/// Runs graphs on the processor's cores.
#[derive(Debug, Clone)]
pub struct CpuBackend {
    kernels: &'static Kernels,
}

impl CpuBackend {
    /// The backend with these options.
    ///
    /// # Errors
    /// If the instruction set is unknown, or known but not one that this machine has.
    pub fn new(options: &CpuOptions) -> Result<Self> {
        let isa = match &options.isa {
            Some(name) => Isa::from_name(name).map_err(|error| Error::Config(error.to_string()))?,
            None => Isa::best(),
        };
        Ok(Self { kernels: Kernels::for_isa(isa) })
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn devices(&self) -> Result<Vec<Device>> {
        let isas: Vec<_> = Isa::available().into_iter().map(Isa::name).collect();
        let mut facts = vec![
            ("instruction set".to_owned(), self.kernels.isa().name().to_owned()),
            ("available".to_owned(), isas.join(", ")),
            ("cores".to_owned(), physical_cores().to_string()),
        ];
        if let Some(bytes) = machine::memory_bytes() {
            facts.push((
                "memory".to_owned(),
                format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64),
            ));
        }
        facts.extend(machine::huge_pages().map(|when| ("huge pages".to_owned(), when)));
        Ok(vec![Device { id: DEVICE.into(), description: machine::cpu_name(), facts, score: 100 }])
    }

    fn check(&self, graph: &Graph, device: &Device) -> Result<(), Unsupported> {
        let mut reasons = Vec::new();
        if device.id != DEVICE {
            reasons.push(format!("there is no device {:?}, only {DEVICE:?}", device.id));
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
        program::plan(model, self.kernels, threads(compile)?.most(), compile.repack, session)
    }

    fn explain(&self, model: &Model, session: &SessionOptions) -> Result<Vec<String>> {
        model.graph.check()?;
        Ok(program::explain(&model.graph, session))
    }

    fn compile(&self, model: Arc<Model>, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        Ok(Arc::new(CpuProgram::new(model, self.kernels, threads(options)?, options)?))
    }

    fn write_packed(
        &self,
        model: &Model,
        options: &CompileOptions,
        to: &mut dyn Write,
        progress: &dyn Fn(u64, u64) -> std::io::Result<()>,
    ) -> Result<PackedSummary> {
        options.check_repack()?;
        program::write_packed(model, self.kernels, threads(options)?, to, progress)
    }

    fn check_packed(
        &self,
        model: &Model,
        options: &CompileOptions,
        all: bool,
    ) -> Result<PackedUse> {
        match &options.packed {
            Some(file) if options.repack => {
                program::check_packed(model, self.kernels, threads(options)?, file, all)
            }
            _ => Ok(PackedUse::Absent),
        }
    }
}

/// Threads that a program gets.
pub(crate) fn threads(options: &CompileOptions) -> Result<Threads> {
    if options.device != DEVICE {
        let problem = format!("there is no device {:?}, only {DEVICE:?}", options.device);
        return Err(Error::Backend { backend: NAME.into(), problem });
    }
    let within = |name: &str, threads: Option<usize>, default: usize| match threads {
        None => Ok(default),
        Some(threads @ 1..=MAX_THREADS) => Ok(threads),
        Some(threads) => {
            Err(Error::Config(format!("{name} is {threads}, it must be 1 to {MAX_THREADS}")))
        }
    };
    let single = within("threads", options.threads, physical_cores())?;
    let batch = within("threads_batch", options.threads_batch, single)?;
    Ok(Threads { single, batch })
}
