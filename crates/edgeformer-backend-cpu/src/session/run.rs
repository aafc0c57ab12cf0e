use edgeformer_core::graph::Value;
use edgeformer_core::{InputObserver, LatentForm, Result, Step};

use super::cache::SessionCache;
use super::memory::Memory;
use super::rows::StepRows;
use super::scratch::Scratch;
use super::sight::Sight;
use crate::kernels::Kernels;
use crate::pool::Pool;
use crate::program::{Action, CpuProgram, Instruction};

/// Everything that a step works with.
pub(super) struct Executor<'a> {
    pub program: &'a CpuProgram,
    pub kernels: &'static Kernels,
    pub pool: &'a Pool,
    pub step: &'a Step<'a>,
    pub rows: &'a StepRows,
    pub memory: Memory<'a>,
    pub cache: &'a mut SessionCache,
    pub sight: &'a Sight,
    pub latent_form: LatentForm,
    pub scratch: &'a mut Scratch,
    pub observer: Option<&'a mut InputObserver>,
}

impl Executor<'_> {
    /// Runs the step, which was found valid.
    ///
    /// # Errors
    /// If pages of the cache cannot be read back from where they were moved to.
    pub fn run(mut self) -> Result<()> {
        let program = self.program;
        self.scratch.quantized.of = None;
        self.turn_ropes();
        let (body, tail) = program.code.instructions.split_at(program.schedule.tail);
        body.iter().try_for_each(|instruction| self.execute(instruction))?;
        self.memory.begin_tail();
        self.scratch.quantized.of = None;
        if self.rows.wanted().is_empty() {
            return Ok(());
        }
        tail.iter().try_for_each(|instruction| self.execute(instruction))?;
        self.memory.deliver();
        Ok(())
    }

    fn execute(&mut self, instruction: &Instruction) -> Result<()> {
        let Instruction { action, inputs, outputs, .. } = instruction;
        if self.observer.is_some() {
            self.show_inputs(instruction);
        }
        match action {
            Action::Embed { table, scale } => self.embed(table, *scale, outputs[0]),
            Action::Unfold(unfold) => self.unfold(unfold, outputs[0]),
            Action::Prepend(rows) => self.prepend(rows, inputs[0], outputs[0]),
            Action::Linears(linears) => self.linears(linears, inputs[0], outputs),
            Action::Residual(linear) => self.residual(linear, inputs, outputs[0]),
            Action::Gated(pair) => self.gated(pair, inputs[0], outputs),
            Action::Split { groups, widths } => self.split(*groups, widths, inputs[0], outputs),
            Action::Concat => self.concat(inputs, outputs[0]),
            Action::Norm(norm) => self.norm(norm, inputs[0], outputs[0]),
            Action::Attention { attention, rope } => {
                self.attention(attention, *rope, inputs, outputs[0])?;
            }
            Action::LatentAttention { attention, up, rope } => {
                self.latent_attention(attention, up, *rope, inputs, outputs[0])?;
            }
            Action::Experts(experts) => self.experts(experts, inputs[0], outputs[0]),
            Action::Pool(pool) => self.pool(*pool, inputs[0], outputs[0]),
            Action::Position { table, offset } => {
                let input = self.in_place(instruction);
                self.position(table, *offset, input, outputs[0]);
            }
            Action::Rope { table, rope } => {
                self.in_place(instruction);
                self.rope(*table, rope, outputs[0]);
            }
            Action::AddRow(row) => {
                self.in_place(instruction);
                self.add_row(row, outputs[0]);
            }
            Action::Activation(activation) => {
                self.in_place(instruction);
                self.activation(*activation, outputs[0]);
            }
            Action::Scale(factor) => {
                self.in_place(instruction);
                self.scale(*factor, outputs[0]);
            }
            Action::AdapterScale(scale) => {
                self.in_place(instruction);
                self.adapter_scale(scale, outputs[0]);
            }
            Action::SoftCap(cap) => {
                self.in_place(instruction);
                self.soft_cap(*cap, outputs[0]);
            }
            Action::Add | Action::Multiply => {
                let taken = self.in_place(instruction);
                let other = if taken == inputs[0] { inputs[1] } else { inputs[0] };
                self.combine(matches!(action, Action::Add), other, outputs[0]);
            }
        }
        Ok(())
    }

    /// Makes the output hold an input's elements, by taking its memory over or by copying, and
    /// says which.
    fn in_place(&mut self, instruction: &Instruction) -> Value {
        let output = instruction.outputs[0];
        if let Some(input) = instruction.takes_over {
            return instruction.inputs[input];
        }
        let input = instruction.inputs[0];
        let mut lent = self.memory.take(output);
        lent.data().copy_from_slice(self.memory.read(input).data());
        self.memory.put_back(output, lent);
        input
    }
}
