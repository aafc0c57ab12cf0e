use edgeformer_core::{Outputs, SequenceId, Session, SessionOptions};

use super::{Body, Engine, OURS, Runner, Setup};
use crate::Result;
use crate::cache::read;
use crate::subject::Subject;

pub(super) const ENGINE: Engine = Engine { name: OURS, build: None, quantizer: None, run };

fn run(setup: &Setup, body: Body<'_>) -> Result<()> {
    let subject = Subject::open(&setup.model, false)?;
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
