use edgeformer_core::{Outputs, SequenceId, Session, SessionOptions};

use super::{Body, Engine, OURS, Runner, Setup};
use crate::Result;
use crate::cache::read;
use crate::subject::Subject;

pub(super) const ENGINE: Engine = Engine { name: OURS, build: None, quantizer: None, run };

/// The ONNX Runtime backend.
#[cfg(feature = "backend-onnx")]
pub(super) const ON_ONNX: Engine = Engine {
    name: "edgeformer/onnx",
    build: None,
    quantizer: None,
    run: |setup, body| run_on("onnx", setup, body),
};

/// The candle backend.
#[cfg(feature = "backend-candle")]
pub(super) const ON_CANDLE: Engine = Engine {
    name: "edgeformer/candle",
    build: None,
    quantizer: None,
    run: |setup, body| run_on("candle", setup, body),
};

fn run(setup: &Setup, body: Body<'_>) -> Result<()> {
    run_on("auto", setup, body)
}

fn run_on(backend: &str, setup: &Setup, body: Body<'_>) -> Result<()> {
    let Ok(backend) = backend.parse();
    let subject = Subject::open_on(&backend, &setup.model, false)?;
    let options = SessionOptions {
        context: setup.context,
        chunk: edgeformer::usual_chunk(subject.program.graph()).min(setup.context),
        output_rows: 1,
        cache_type_k: setup.cache_type_k,
        cache_type_v: setup.cache_type_v,
        ..SessionOptions::default()
    };
    let mut session = subject.program.clone().open(&options)?;
    let sequence = session.cache().create()?;
    body(&mut Loaded {
        vocabulary: subject.vocabulary(),
        chunk: options.chunk,
        session,
        sequence,
        outputs: Outputs::default(),
    })
}

struct Loaded {
    vocabulary: usize,
    chunk: usize,
    session: Box<dyn Session>,
    sequence: SequenceId,
    outputs: Outputs,
}

impl Runner for Loaded {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn clear(&mut self) -> Result<()> {
        self.session.cache().remove(self.sequence);
        self.sequence = self.session.cache().create()?;
        Ok(())
    }

    fn read(&mut self, tokens: &[u32]) -> Result<()> {
        read(self.session.as_mut(), self.sequence, tokens, self.chunk, &mut self.outputs)
    }
}
