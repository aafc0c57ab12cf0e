use std::path::PathBuf;

use clap::{Args, ValueEnum};
use edgeformer::config::ByteSize;
use edgeformer_core::Format;
use edgeformer_train::finetune::NumLabels;

use super::values::{count, size};

/// Lets a model learn from records of text.
#[derive(Debug, Args)]
pub struct Finetune {
    /// The GGUF file or Hugging Face folder that learns
    #[arg(short, long, value_name = "PATH")]
    pub model: PathBuf,
    /// What it learns: JSON Lines of text, prompt and completion, messages, instruction and output,
    /// or question and answer
    #[arg(short, long, value_name = "FILE")]
    pub data: PathBuf,
    /// The folder for the result, checkpoints, metrics and the card; a run that was stopped goes on
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// Records to validate with
    #[arg(long, value_name = "FILE")]
    pub validation: Option<PathBuf>,
    /// Else this share of the data
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub validation_split: f64,
    /// End at the first line that is no record, instead of leaving it out
    #[arg(long)]
    pub strict: bool,
    /// Cut records that are longer than the context, instead of refusing them
    #[arg(long)]
    pub truncate: bool,
    #[command(flatten)]
    pub learning: LearningArgs,
    #[command(flatten)]
    pub run: RunArguments,
    /// What was done as one JSON object
    #[arg(long)]
    pub json: bool,
    /// No progress on stderr
    #[arg(short, long)]
    pub quiet: bool,
}

/// What learns.
#[derive(Debug, Args)]
#[command(next_help_heading = "What learns")]
pub struct LearningArgs {
    /// What of the model learns
    #[arg(long, value_enum, default_value_t)]
    pub method: MethodArg,
    /// Rank of the adapter
    #[arg(long, visible_alias = "lora-rank", value_name = "N", default_value_t = 16, value_parser = count)]
    pub lora_r: usize,
    /// The adapter's product is multiplied with this over its rank
    #[arg(long, value_name = "A", default_value_t = 32.0)]
    pub lora_alpha: f32,
    /// Share of an adapter's inputs that is left out in every step
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub lora_dropout: f32,
    /// Layers that get an adapter: all-linear, or names such as q_proj,v_proj
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "all-linear")]
    pub target_modules: Vec<String>,
    /// Quantize the base that stays as it is to q8_0 or q4_0 (QLoRA)
    #[arg(long, value_name = "FORMAT", value_parser = base_format)]
    pub base_type: Option<Format>,
    /// Blocks that learn with --method last-blocks, counted from the last
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count)]
    pub last_blocks: usize,
    /// Put a new classifier of N classes in the place of the model's head, to learn from texts with a
    /// label (not with --method lora); 1 learns a value, auto takes the classes of the data
    #[arg(long, value_name = "N|auto", value_parser = num_labels)]
    pub num_labels: Option<NumLabels>,
    /// A larger model of the same vocabulary whose answers are learned too
    #[arg(long, value_name = "PATH")]
    pub teacher: Option<PathBuf>,
    /// What logits are divided by to compare with a teacher's
    #[arg(long, value_name = "T", default_value_t = 2.0)]
    pub temperature: f64,
    /// Share of the teacher in the loss
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub teacher_share: f64,
}

/// How it learns.
#[derive(Debug, Args)]
#[command(next_help_heading = "How it learns")]
pub struct RunArguments {
    /// How often all records are learned
    #[arg(long, visible_alias = "num-train-epochs", value_name = "N", default_value_t = 3.0)]
    pub epochs: f64,
    /// Steps in all, instead of epochs
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Records of a step
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = count)]
    pub batch_size: usize,
    /// Tokens that go through the model at a time: gradients of a step are added up
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = count)]
    pub micro_batch_tokens: usize,
    /// Compute activations again backward instead of keeping them: less memory, a third more time
    #[arg(long)]
    pub gradient_checkpointing: bool,
    /// Bytes that learning may take, such as 700MiB: batches are split and activations computed again to
    /// stay within it
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory_budget: Option<ByteSize>,
    /// Print the memory that learning will take, and end
    #[arg(long)]
    pub plan: bool,
    /// Tokens of a record at most [default: the model's context]
    #[arg(short = 'c', long, visible_alias = "max-length", value_name = "N", value_parser = count)]
    pub ctx_size: Option<usize>,
    /// The highest learning rate [default: by method and size, 1e-3 for an adapter of a small model]
    #[arg(long, visible_alias = "lr", value_name = "R")]
    pub learning_rate: Option<f64>,
    /// How the learning rate falls
    #[arg(long, visible_alias = "lr-scheduler-type", value_enum, default_value_t)]
    pub schedule: ScheduleArg,
    /// Share of the steps in which the learning rate rises
    #[arg(long, value_name = "SHARE", default_value_t = 0.03)]
    pub warmup_ratio: f64,
    /// Decay of the mean of gradients
    #[arg(long, value_name = "B", default_value_t = 0.9)]
    pub adam_beta1: f64,
    /// Decay of the mean of their squares
    #[arg(long, value_name = "B", default_value_t = 0.999)]
    pub adam_beta2: f64,
    /// Share of a matrix that is taken off in a step, times the learning rate
    #[arg(long, value_name = "W", default_value_t = 0.0)]
    pub weight_decay: f64,
    /// Keep the optimizer's moments in 8 bits
    #[arg(long)]
    pub optim_8bit: bool,
    /// The norm that gradients are cut to; 0 leaves them
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub max_grad_norm: f64,
    /// Share of the inputs of linear layers that is left out while weights learn (adapters:
    /// --lora-dropout)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub dropout: f32,
    /// Round the matrices of linear layers to this format while they learn, so that little is lost when
    /// the model is quantized to it
    #[arg(long, visible_alias = "qat", value_name = "FORMAT")]
    pub quantize_aware: Option<Format>,
    /// Keep an exponential mean of the weights, of this decay
    #[arg(long, value_name = "D")]
    pub ema: Option<f64>,
    /// Steps between looks at the validation records [default: a tenth of the run]
    #[arg(long, value_name = "N")]
    pub eval_steps: Option<u64>,
    /// End when so many looks in a row saw nothing better
    #[arg(long, visible_alias = "early-stopping-patience", value_name = "N")]
    pub patience: Option<u64>,
    /// Steps between checkpoints
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub save_steps: u64,
    /// What every random number follows from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// What of a model learns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// Adapters of low rank beside linear layers
    #[default]
    Lora,
    /// Every weight
    Full,
    /// The last blocks, and what follows them
    LastBlocks,
    /// What turns hidden states into output
    Head,
}

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ScheduleArg {
    /// Half a cosine, to zero
    #[default]
    Cosine,
    /// A straight line, to zero
    Linear,
    /// Not at all
    Constant,
}

fn num_labels(text: &str) -> Result<NumLabels, String> {
    match text {
        "auto" => Ok(NumLabels::OfData),
        number => count(number).map(NumLabels::Count),
    }
}

fn base_format(text: &str) -> Result<Format, String> {
    match text {
        "q8_0" => Ok(Format::Q8_0),
        "q4_0" => Ok(Format::Q4_0),
        _ => Err("a base that learns beside an adapter is q8_0 or q4_0".into()),
    }
}
